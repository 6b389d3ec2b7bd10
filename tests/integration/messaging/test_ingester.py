"""Dead letters on their way from RabbitMQ to the desk, with their reasons."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pika
import pytest
from structlog.testing import capture_logs

from schemas.dead_letter import DeadLetterHeaders, DeadLetterReason
from tests.fixtures.amqp import TRADE_QUEUE, trade, until_ready
from worker.domain.errors import LedgerUnavailable, NotStorable, WorkerError
from worker.domain.message import MessageKind, OutgoingMessage
from worker.messaging import deliveries
from worker.messaging.connection import AmqpConnection
from worker.messaging.dead_letters import Ingester
from worker.messaging.inspection import publish_all
from worker.messaging.lifeline import Lifeline
from worker.messaging.parking import unpark
from worker.messaging.publisher import Publisher
from worker.messaging.topology import DELIVERY_LIMIT
from worker.observability import Outage
from worker.ports import DeadLetter, RefusedMessage

pytestmark = pytest.mark.services


class Desk:
    """Keeps letters by their id; fails as often as it is told to."""

    def __init__(self, failures: list[Exception] | None = None) -> None:
        self.letters: dict[UUID, DeadLetter] = {}
        self.failures = failures or []
        self.news = asyncio.Event()

    async def take_in(self, letter: DeadLetter, tell: RefusedMessage | None) -> bool:
        assert tell is None
        if self.failures:
            raise self.failures.pop()
        new = letter.letter_id not in self.letters
        self.letters[letter.letter_id] = letter
        self.news.set()
        return new

    async def until(self, count: int) -> list[DeadLetter]:
        async with asyncio.timeout(30):
            while len(self.letters) < count:
                self.news.clear()
                await self.news.wait()
        return list(self.letters.values())


@asynccontextmanager
async def ingesting(url: str, desk: Desk) -> AsyncIterator[list[Any]]:
    lifeline = Lifeline(url, "test ingester", Outage("rabbitmq", "nothing"))
    ingester = Ingester(lifeline, desk, lambda _letter: None, partial(publish_all, url))
    running = asyncio.create_task(ingester.run())
    try:
        with capture_logs() as logged:
            yield logged
    finally:
        await ingester.stop(within=5)
        await running


def own_dead_letter(letter_id: UUID) -> OutgoingMessage:
    """Return a dead letter as the worker publishes it, its stack trace as long as it may be."""
    headers = DeadLetterHeaders(
        failure_reason=DeadLetterReason.SCHEMA_INVALID,
        failure_detail="direction must be 1 or -1",
        failure_stack="x" * 100_000,
        failed_at="2026-03-02T09:30:00+00:00",
        account="main",
        trade_id="order-1",
        original_exchange="trades",
        original_routing_key="approved.main.EURUSD",
        original_message_id="rpm-7",
    )
    return OutgoingMessage(
        kind=MessageKind.DEAD_LETTER,
        exchange="trades.dlx",
        routing_key="approved.main.EURUSD",
        body=b'{"broken": ',
        message_id=str(letter_id),
        correlation_id="c-1",
        headers=headers.to_headers(),
    )


async def test_the_workers_own_dead_letter_keeps_its_id_and_tells_its_story(
    amqp: AmqpConnection, amqp_url: str
) -> None:
    desk, letter_id = Desk(), uuid4()
    await Publisher(amqp).publish([own_dead_letter(letter_id), own_dead_letter(letter_id)])

    async with ingesting(amqp_url, desk):
        [letter] = await desk.until(1)
        await until_ready(amqp, "trades.dead", 0)

    assert letter.letter_id == letter_id
    assert (letter.reason, letter.account, letter.trade_id) == ("schema_invalid", "main", "order-1")
    assert letter.detail == "direction must be 1 or -1"
    assert letter.failed_at is not None
    assert letter.message.body == b'{"broken": '
    assert (letter.message.exchange, letter.message.message_id) == ("trades", "rpm-7")
    assert len(str(letter.headers["failure-stack"])) == 16 * 1024


async def test_a_trade_for_an_unknown_account_reaches_the_desk(amqp: AmqpConnection, amqp_url: str) -> None:
    desk = Desk()
    stray = replace(trade(1), routing_key="approved.nobody.EURUSD")
    await Publisher(amqp).publish([stray, replace(stray, routing_key="hello")])

    async with ingesting(amqp_url, desk):
        first, second = await desk.until(2)

    assert {first.reason, second.reason} == {"unknown_account"}
    assert {first.account, second.account} == {"nobody", None}
    assert first.source_queue == "trades.unroutable"


@pytest.mark.usefixtures("amqp")
async def test_an_expired_trade_reaches_the_desk(amqp_url: str) -> None:
    desk = Desk()
    await asyncio.to_thread(_publish_expiring, amqp_url)

    async with ingesting(amqp_url, desk):
        [letter] = await desk.until(1)

    assert (letter.reason, letter.account, letter.source_queue) == ("expired", "main", "trades.dead")
    assert (letter.message.exchange, letter.message.routing_key) == ("trades", "approved.main.XAUUSD")
    assert letter.message.message_id == "short-lived"
    assert letter.failed_at is not None


async def test_a_trade_delivered_too_often_reaches_the_desk(amqp: AmqpConnection, amqp_url: str) -> None:
    desk = Desk()
    channel = await amqp.channel()
    deliveries_seen = 0

    def give_back(tag: int, _message: object) -> None:
        nonlocal deliveries_seen
        deliveries_seen += 1
        channel.give_back(tag)

    await channel.consume(TRADE_QUEUE, give_back)
    await Publisher(amqp).publish([trade(1, body=b"poison")])

    async with ingesting(amqp_url, desk):
        [letter] = await desk.until(1)

    assert deliveries_seen == DELIVERY_LIMIT + 1
    assert (letter.reason, letter.account, letter.message.body) == ("delivery_limit", "main", b"poison")
    assert "look for a crash of the worker" in letter.detail


@pytest.mark.parametrize("error", [LedgerUnavailable("no ledger"), WorkerError("no right to write")], ids=str)
async def test_what_the_desk_cannot_take_now_is_not_lost_and_holds_up_nobody(
    amqp: AmqpConnection, amqp_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(deliveries, "FIRST_PAUSE_SECONDS", 0.05)
    desk, first, second = Desk(failures=[error]), uuid4(), uuid4()
    await Publisher(amqp).publish([own_dead_letter(first), own_dead_letter(second)])

    async with ingesting(amqp_url, desk):
        await desk.until(2)
        await until_ready(amqp, "trades.dead", 0)

    assert set(desk.letters) == {first, second}


@pytest.mark.parametrize("error", [NotStorable("too deep"), ValueError("a defect")], ids=str)
async def test_what_the_desk_refuses_for_what_it_is_is_parked_whole_and_comes_back_when_asked(
    amqp: AmqpConnection, amqp_url: str, error: Exception
) -> None:
    # Given a letter that RabbitMQ made itself, without an id, and a desk that refuses it
    stray = replace(trade(1), routing_key="approved.nobody.EURUSD", headers={"traceparent": "00-1"})
    await Publisher(amqp).publish([stray])
    refusing = Desk(failures=[error])
    async with ingesting(amqp_url, refusing) as logged:
        await until_ready(amqp, "trades.parked", 1)
        await until_ready(amqp, "trades.unroutable", 0)
    [alert] = [line for line in logged if line["event"] == "dead_letter_parked"]

    # When the cause is gone and it is brought back
    desk = Desk()
    async with ingesting(amqp_url, desk):
        assert await unpark(amqp, 1, "ann") == 1
        [letter] = await desk.until(1)
        await until_ready(amqp, "trades.parked", 0)

    # Then the desk has it as it was
    assert (alert["alert"], alert["id"]) == (True, str(letter.letter_id))
    assert (letter.reason, letter.account, letter.source_queue) == ("unknown_account", "nobody", "trades.unroutable")
    assert (letter.message.body, letter.message.routing_key) == (stray.body, stray.routing_key)
    assert letter.headers == {"traceparent": "00-1"}
    assert letter.brought_back_by == "ann"


async def test_what_is_refused_again_is_parked_again_under_the_same_id(amqp: AmqpConnection, amqp_url: str) -> None:
    letter_id = uuid4()
    await Publisher(amqp).publish([own_dead_letter(letter_id)])

    async with ingesting(amqp_url, Desk(failures=[NotStorable("no"), NotStorable("still no")])) as logged:
        await until_ready(amqp, "trades.parked", 1)
        assert await unpark(amqp, 1, "ann") == 1
        await until_ready(amqp, "trades.parked", 1)
    desk = Desk()
    async with ingesting(amqp_url, desk):
        assert await unpark(amqp, 1, "ann") == 1
        [letter] = await desk.until(1)

    assert [line["id"] for line in logged if line.get("alert")] == [str(letter_id)] * 2
    assert (letter.letter_id, letter.reason, letter.trade_id) == (letter_id, "schema_invalid", "order-1")


def _publish_expiring(url: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        properties = pika.BasicProperties(message_id="short-lived", expiration="1", delivery_mode=2)
        channel.basic_publish("trades", "approved.main.XAUUSD", b"{}", properties)
