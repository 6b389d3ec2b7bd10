"""A dead letter that PostgreSQL refuses for what it is: parked by the worker's own parts, and stored when it can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from schemas.dead_letter import DeadLetterHeaders, DeadLetterReason
from tests.fixtures.amqp import until_ready
from tests.integration.ledger.stories import RealClock
from worker.domain.message import MessageKind, OutgoingMessage
from worker.ledger.connection import Connection
from worker.ledger.desk import LetterFilter, dead_letters
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import operator
from worker.messaging.connection import AmqpConnection
from worker.messaging.dead_letters import Ingester
from worker.messaging.inspection import publish_all
from worker.messaging.lifeline import Lifeline
from worker.messaging.parking import unpark
from worker.messaging.publisher import Publisher
from worker.observability import Outage

pytestmark = pytest.mark.services


async def test_a_letter_that_postgresql_refuses_is_parked_and_stored_once_the_cause_is_gone(
    amqp: AmqpConnection, amqp_url: str, ledger: PostgresLedger, ledger_url: str, database: Connection
) -> None:
    # Given a database that refuses one of two letters
    await database.execute("alter table ledger.dead_letters add constraint taste check (body <> 'poison')")
    poison, good = (_dead_letter(body) for body in (b"poison", b"good"))

    # When both are taken in
    async with _ingesting(amqp_url, ledger):
        await Publisher(amqp).publish([poison, good])
        await until_ready(amqp, "trades.parked", 1)
        await until_ready(amqp, "trades.dead", 0)

    # Then the good one is stored, and the other one too when the cause is gone and it is brought back
    assert await _stored(ledger_url) == {good.message_id}
    await database.execute("alter table ledger.dead_letters drop constraint taste")
    async with _ingesting(amqp_url, ledger):
        assert await unpark(amqp, 1, "ann") == 1
        await until_ready(amqp, "trades.parked", 0)
        while await _stored(ledger_url) != {good.message_id, poison.message_id}:  # noqa: ASYNC110 - it tells only if asked
            await asyncio.sleep(0.02)
    told = "select payload::json ->> 'brought_back_by' as by from ledger.audit_events where kind = 'dead_lettered'"
    cursor = await database.execute(told.encode() + b" order by sequence")
    assert [row["by"] for row in await cursor.fetchall()] == [None, "ann"]


def _dead_letter(body: bytes) -> OutgoingMessage:
    headers = DeadLetterHeaders(failure_reason=DeadLetterReason.MALFORMED_JSON, account="main").to_headers()
    return OutgoingMessage(
        kind=MessageKind.DEAD_LETTER,
        exchange="trades.dlx",
        routing_key="approved.main.EURUSD",
        body=body,
        message_id=str(uuid4()),
        headers=headers,
    )


@asynccontextmanager
async def _ingesting(url: str, ledger: PostgresLedger) -> AsyncIterator[None]:
    lifeline = Lifeline(url, "test ingester", Outage("rabbitmq", "nothing"))
    ingester = Ingester(lifeline, ledger, lambda _letter: None, partial(publish_all, url))
    running = asyncio.create_task(ingester.run())
    try:
        with capture_logs():
            yield
    finally:
        await ingester.stop(within=5)
        await running


async def _stored(ledger_url: str) -> set[str | None]:
    async with operator(ledger_url, RealClock()) as seat:
        return {str(line.id) for line in await dead_letters(seat, LetterFilter(), 10)}
