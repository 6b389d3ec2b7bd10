"""The exported definitions in a real RabbitMQ: who can do their work, and nothing else."""

import asyncio
import base64
import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import pytest
from structlog.testing import capture_logs

from ops.services import Services
from tests.fixtures.amqp import TRADE_QUEUE, depth, trade
from tests.fixtures.outbox import confirmation, reply
from worker.domain.message import IncomingMessage, OutgoingMessage, PublishResult
from worker.messaging.connection import connected
from worker.messaging.declaration import check, declare
from worker.messaging.definitions import definitions
from worker.messaging.errors import AccessRefused, ChannelClosed
from worker.messaging.inspection import listen
from worker.messaging.publisher import Publisher
from worker.messaging.topology import topology

pytestmark = pytest.mark.services

CONFIRMED, REFUSED = PublishResult.CONFIRMED, PublishResult.REFUSED
PASSWORDS = {name: f"{name}'s password" for name in ("mt5-worker", "rpm", "subscriber", "mt5-operator")}

UrlOf = Callable[[str], str]


@pytest.fixture(scope="module")
def url_of(own_services: Services) -> Iterator[UrlOf]:
    """Import the definitions into a virtual host of their own; gives each user's URL."""
    admin = urlsplit(own_services.new_vhost("rights"))
    wanted = definitions(["main"], vhost="rights", passwords=PASSWORDS)
    _post(own_services.rabbitmq.management_url or "", "/api/definitions", wanted)

    def url(user: str) -> str:
        password = urllib.parse.quote(PASSWORDS.get(user, ""))
        return urlunsplit(admin._replace(netloc=f"{user}:{password}@{admin.hostname}:{admin.port}"))

    yield url
    own_services.delete_vhost("rights")


def _post(management_url: str, path: str, content: object) -> None:
    parts = urlsplit(management_url)
    login = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    request = urllib.request.Request(
        f"http://{parts.hostname}:{parts.port}{path}",
        data=json.dumps(content).encode(),
        headers={"authorization": f"Basic {login}", "content-type": "application/json"},
        method="POST",
    )
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - our own node


async def test_the_worker_finds_everything_and_creates_nothing(url_of: UrlOf) -> None:
    async with connected(url_of("mt5-worker"), "test") as connection:
        assert await check(connection, topology(["main"])) == []
        assert await declare(connection, topology(["main"])) == []
        [missing] = await declare(connection, topology(["main", "other"]))

    assert missing.startswith("queue trades.approved.other is missing")


async def test_the_imported_topology_is_the_one_that_is_declared(url_of: UrlOf) -> None:
    async with connected(url_of("mt5-operator"), "test") as connection:
        assert await declare(connection, topology(["main"])) == []


@pytest.mark.parametrize(
    ("user", "message", "expected"),
    [
        ("rpm", trade(1), CONFIRMED),
        ("rpm", confirmation(1), REFUSED),
        ("rpm", replace(trade(1), exchange="trades.dlx"), REFUSED),
        ("rpm", reply(TRADE_QUEUE), REFUSED),
        ("mt5-worker", confirmation(1), CONFIRMED),
        ("mt5-worker", replace(trade(1), exchange="trades.dlx"), CONFIRMED),
        ("mt5-worker", reply(TRADE_QUEUE), CONFIRMED),
        ("mt5-worker", reply("trades.parked"), CONFIRMED),
        ("mt5-worker", replace(trade(1), exchange="amq.topic"), REFUSED),
        ("subscriber", confirmation(1), REFUSED),
        ("subscriber", trade(1), REFUSED),
        ("mt5-operator", trade(1), CONFIRMED),
    ],
    ids=lambda value: value.exchange or "default exchange" if isinstance(value, OutgoingMessage) else str(value),
)
async def test_each_user_publishes_where_it_may(
    url_of: UrlOf, user: str, message: OutgoingMessage, expected: PublishResult
) -> None:
    with capture_logs():
        async with connected(url_of(user), "test") as connection:
            assert await Publisher(connection).publish([message]) == [expected]


@pytest.mark.parametrize(
    ("user", "queue", "allowed"),
    [
        ("mt5-worker", TRADE_QUEUE, True),
        ("mt5-worker", "trades.dead", True),
        ("mt5-worker", "trades.unroutable", True),
        ("mt5-worker", "executions.unrouted", False),
        ("mt5-worker", "trades.parked", False),
        ("mt5-operator", "trades.parked", True),
        ("rpm", TRADE_QUEUE, False),
        ("subscriber", TRADE_QUEUE, False),
        ("subscriber", "trades.dead", False),
    ],
)
async def test_each_user_reads_what_it_may(url_of: UrlOf, user: str, queue: str, *, allowed: bool) -> None:
    async with connected(url_of(user), "test") as connection:
        channel = await connection.channel()
        if allowed:
            await channel.cancel(await channel.consume(queue, lambda _tag, _message: None))
        else:
            with pytest.raises(ChannelClosed) as refused:
                await channel.consume(queue, lambda _tag, _message: None)
            assert refused.value.forbidden


@pytest.mark.parametrize("user", ["subscriber", "mt5-operator"])
async def test_who_may_listen_hears_confirmations(url_of: UrlOf, user: str) -> None:
    heard: asyncio.Queue[IncomingMessage] = asyncio.Queue()

    async def listening() -> None:
        async for message in listen(url_of(user), "confirmation.filled.main.#"):
            heard.put_nowait(message)

    ears = asyncio.create_task(listening())
    async with connected(url_of("mt5-worker"), "test") as connection:
        publisher = Publisher(connection)
        async with asyncio.timeout(20):
            while heard.empty():  # what was published before the queue was bound is not heard
                await publisher.publish([confirmation(1)])
    ears.cancel()
    await asyncio.gather(ears, return_exceptions=True)

    assert heard.get_nowait().message_id == "1:1"


async def test_a_subscriber_may_leave_the_name_of_its_queue_to_rabbitmq(url_of: UrlOf) -> None:
    async with connected(url_of("subscriber"), "test") as connection:
        channel = await connection.channel()
        await channel.declare_private_queue(name := "")  # AMQP: the last one that was declared on this channel
        await channel.bind(name, "executions", "confirmation.#")
        await channel.cancel(await channel.consume(name, lambda _tag, _message: None))


async def test_a_subscriber_makes_no_other_queue(url_of: UrlOf) -> None:
    async with connected(url_of("subscriber"), "test") as connection:
        channel = await connection.channel()
        with pytest.raises(ChannelClosed) as refused:
            await channel.declare_private_queue("mine")
    assert refused.value.forbidden


async def test_a_user_without_password_cannot_log_in(url_of: UrlOf) -> None:
    with pytest.raises(AccessRefused):
        async with connected(url_of("monitoring"), "test") as connection:
            await depth(connection, TRADE_QUEUE)
