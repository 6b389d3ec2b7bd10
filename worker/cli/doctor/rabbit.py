"""What `doctor` asks RabbitMQ."""

from __future__ import annotations

from collections.abc import AsyncIterator

from worker.cli.doctor.finding import Finding, judged, unusable
from worker.cli.parts import rabbitmq
from worker.domain.errors import ServiceUnavailable, WrongSetting
from worker.messaging.connection import AmqpConnection
from worker.messaging.declaration import check
from worker.messaging.inspection import forbidden_exchanges
from worker.messaging.topology import EXECUTIONS, TRADES_DLX, topology
from worker.settings import Settings

OLDEST_VERSION = (3, 10)
_DEFAULT_EXCHANGE = ""  # leads to reply queues


async def rabbit(settings: Settings) -> AsyncIterator[Finding]:
    """Look at version, topology and rights. Whether this user may read its queues shows only when it consumes."""
    try:
        async with rabbitmq(settings, "doctor") as connection:
            version = connection.server.version
            yield judged("RabbitMQ", _numbers(version) >= OLDEST_VERSION, version, "use RabbitMQ 3.10 or newer")
            yield await _topology(connection, settings.account)
            yield await _rights(connection)
    except (WrongSetting, ServiceUnavailable) as error:
        yield unusable("RabbitMQ", error, "start RabbitMQ, or correct AMQP_URL")


async def _topology(connection: AmqpConnection, account: str) -> Finding:
    problems = await check(connection, topology([account]))
    detail = "\n".join(problems) or f"everything is there for account {account}"
    return judged("RabbitMQ topology", not problems, detail, "run `mt5-worker topology declare`")


async def _rights(connection: AmqpConnection) -> Finding:
    forbidden = await forbidden_exchanges(connection, [EXECUTIONS, TRADES_DLX, _DEFAULT_EXCHANGE])
    names = ", ".join(name or "the default exchange" for name in forbidden)
    return judged(
        "RabbitMQ rights",
        not forbidden,
        f"may not publish to {names}" if names else "may publish confirmations, dead letters and replies",
        "grant what `mt5-worker topology export` lists for mt5-worker",
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
