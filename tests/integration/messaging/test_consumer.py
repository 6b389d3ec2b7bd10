"""Deliveries: handed over in order, acknowledged after the handler, given back when not wanted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pika
import pytest
from structlog.testing import capture_logs

from tests.fixtures.amqp import TRADE_QUEUE, depth, trade, until, until_ready, until_without_consumer
from worker.domain.errors import LedgerUnavailable
from worker.domain.message import IncomingMessage
from worker.messaging import deliveries
from worker.messaging.connection import AmqpConnection
from worker.messaging.consumer import Consumer
from worker.messaging.declaration import declare
from worker.messaging.lifeline import Lifeline
from worker.messaging.publisher import Publisher
from worker.messaging.topology import topology
from worker.observability import Outage

pytestmark = pytest.mark.services

Handler = Callable[[IncomingMessage], Awaitable[None]]


@dataclass
class Inbox:
    """A handler that keeps what it gets, and holds each until the gate is open."""

    begun: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, message: IncomingMessage) -> None:
        self.begun.append(message.message_id or "")
        self.news.set()
        await self.gate.wait()
        self.done.append(message.message_id or "")
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def consuming(url: str, handler: Handler, prefetch: int = 100) -> AsyncIterator[Consumer]:
    consumer = Consumer(Lifeline(url, "test consumer", Outage("rabbitmq", "nothing")), {TRADE_QUEUE: handler}, prefetch)
    running = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        await consumer.stop(within=5)
        await running


async def test_handlers_begin_in_order_and_wait_for_nobody(amqp: AmqpConnection, amqp_url: str) -> None:
    inbox = Inbox()
    await Publisher(amqp).publish([trade(number) for number in range(50)])

    async with consuming(amqp_url, inbox):
        await inbox.until(lambda: len(inbox.begun) == 50)

        assert inbox.begun == [str(number) for number in range(50)]
        assert inbox.done == []
        inbox.gate.set()


async def test_what_a_handler_returned_from_never_comes_again(amqp: AmqpConnection, amqp_url: str) -> None:
    inbox = Inbox()
    inbox.gate.set()
    await Publisher(amqp).publish([trade(number) for number in range(200)])

    async with consuming(amqp_url, inbox, prefetch=20):
        await inbox.until(lambda: len(inbox.done) == 200)

    await until_ready(amqp, TRADE_QUEUE, 0)
    assert sorted(inbox.begun, key=int) == [str(number) for number in range(200)]


async def test_no_more_than_the_prefetch_is_with_the_handlers(amqp: AmqpConnection, amqp_url: str) -> None:
    inbox = Inbox()
    await Publisher(amqp).publish([trade(number) for number in range(10)])

    async with consuming(amqp_url, inbox, prefetch=3) as consumer:
        await inbox.until(lambda: len(inbox.begun) == 3)
        await until_ready(amqp, TRADE_QUEUE, 7)

        assert consumer.handling == 3
        inbox.gate.set()
        await inbox.until(lambda: len(inbox.done) == 10)


async def test_a_paused_consumer_finishes_what_it_began_and_takes_nothing_new(
    amqp: AmqpConnection, amqp_url: str
) -> None:
    inbox, publisher = Inbox(), Publisher(amqp)
    async with consuming(amqp_url, inbox) as consumer:
        await publisher.publish([trade(1)])
        await inbox.until(lambda: inbox.begun == ["1"])

        await consumer.pause()
        await publisher.publish([trade(2)])
        inbox.gate.set()
        await inbox.until(lambda: inbox.done == ["1"])

        await until_without_consumer(amqp, TRADE_QUEUE)
        assert (await depth(amqp, TRADE_QUEUE)).messages == 1
        await consumer.resume()
        await inbox.until(lambda: inbox.done == ["1", "2"])


async def test_a_consumer_that_starts_paused_takes_nothing_until_resumed(amqp: AmqpConnection, amqp_url: str) -> None:
    inbox = Inbox()
    inbox.gate.set()
    await Publisher(amqp).publish([trade(1)])
    consumer = Consumer(Lifeline(amqp_url, "test consumer", Outage("rabbitmq", "nothing")), {TRADE_QUEUE: inbox}, 10)
    await consumer.pause()
    running = asyncio.create_task(consumer.run())

    await until(lambda: consumer.connected)
    assert inbox.begun == []

    await consumer.resume()
    await inbox.until(lambda: inbox.done == ["1"])
    await consumer.stop(within=5)
    await running


async def test_stopping_waits_for_handlers_and_acknowledges_them(amqp: AmqpConnection, amqp_url: str) -> None:
    inbox = Inbox()
    await Publisher(amqp).publish([trade(1), trade(2)])
    async with consuming(amqp_url, inbox) as consumer:
        await inbox.until(lambda: len(inbox.begun) == 2)

        stopping = asyncio.create_task(consumer.stop(within=10))
        inbox.gate.set()
        await stopping

        assert inbox.done == ["1", "2"]
    await until_ready(amqp, TRADE_QUEUE, 0)


async def test_stopping_does_not_wait_for_ever_and_the_message_stays_in_rabbitmq(
    amqp: AmqpConnection, amqp_url: str
) -> None:
    inbox = Inbox()
    await Publisher(amqp).publish([trade(1)])
    async with consuming(amqp_url, inbox) as consumer:
        await inbox.until(lambda: inbox.begun == ["1"])

        with capture_logs() as logs:
            await consumer.stop(within=0.1)

    assert [line["event"] for line in logs] == ["messages left unhandled"]
    await until_ready(amqp, TRADE_QUEUE, 1)


@pytest.mark.parametrize("error", [RuntimeError("a defect"), LedgerUnavailable("no ledger")], ids=["defect", "outage"])
async def test_a_handler_that_fails_is_called_again_later_while_others_go_on(
    amqp: AmqpConnection, amqp_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(deliveries, "FIRST_PAUSE_SECONDS", 0.05)
    tries: list[bool] = []
    done = asyncio.Event()
    inbox = Inbox()
    inbox.gate.set()

    async def fail_three_times(message: IncomingMessage) -> None:
        if message.message_id == "bad":
            tries.append(message.redelivered)
            if len(tries) <= 3:
                raise error
            done.set()
        else:
            await inbox(message)

    with capture_logs() as logs:
        async with consuming(amqp_url, fail_three_times):
            await Publisher(amqp).publish([replace(trade(0), message_id="bad"), trade(1), trade(2)])
            await inbox.until(lambda: inbox.done == ["1", "2"])
            await asyncio.wait_for(done.wait(), 20)

    assert tries == [False] * 4  # RabbitMQ did not have to deliver it again
    # An outage is told once, and again when something has succeeded in between; a defect is told each time.
    assert len(logs) in ({1, 2} if isinstance(error, LedgerUnavailable) else {3})
    await until_ready(amqp, TRADE_QUEUE, 0)


async def test_a_delivery_that_keeps_failing_goes_back_to_the_queue_in_the_end(
    amqp: AmqpConnection, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(deliveries, "HELD_SECONDS", 0.03)
    again = asyncio.Event()

    async def fail(message: IncomingMessage) -> None:
        if message.redelivered:
            again.set()
        raise RuntimeError("a defect")

    with capture_logs():
        async with consuming(amqp_url, fail):
            await Publisher(amqp).publish([trade(1)])
            await asyncio.wait_for(again.wait(), 20)

    await until_ready(amqp, TRADE_QUEUE, 1)


async def test_a_deleted_queue_is_declared_again(amqp: AmqpConnection, amqp_url: str) -> None:
    inbox = Inbox()
    inbox.gate.set()
    lifeline = Lifeline(amqp_url, "test consumer", Outage("rabbitmq", "nothing"), wanted=topology(["main"]))
    consumer = Consumer(lifeline, {TRADE_QUEUE: inbox}, 10)
    with capture_logs() as logs:
        running = asyncio.create_task(consumer.run())
        await until(lambda: consumer.connected)
        await _delete(amqp_url, TRADE_QUEUE)
        await until(lambda: not consumer.connected)
        await until(lambda: consumer.connected)
        await Publisher(amqp).publish([trade(1)])
        await inbox.until(lambda: inbox.done == ["1"])
        await consumer.stop(within=5)
        await running

    assert [line["event"] for line in logs] == ["rabbitmq lost", "rabbitmq back"]


async def test_a_deleted_queue_is_consumed_again_once_it_is_back(amqp: AmqpConnection, amqp_url: str) -> None:
    inbox = Inbox()
    inbox.gate.set()
    with capture_logs() as logs:
        async with consuming(amqp_url, inbox) as consumer:
            await Publisher(amqp).publish([trade(1)])
            await inbox.until(lambda: inbox.done == ["1"])

            await _delete(amqp_url, TRADE_QUEUE)

            await until(lambda: not consumer.connected)
            await declare(amqp, topology(["main"]))
            await Publisher(amqp).publish([trade(2)])
            await inbox.until(lambda: inbox.done == ["1", "2"])

    assert [line["event"] for line in logs] == ["rabbitmq lost", "rabbitmq back"]
    assert TRADE_QUEUE in logs[0]["why"]


class _RawHeaders(pika.BasicProperties):  # type: ignore[misc]  # pika has no types
    """Properties whose header table is given as bytes: what no well-behaved client would send."""

    def __init__(self, table: bytes) -> None:
        super().__init__(message_id="odd")
        self._table = table

    def encode(self) -> list[bytes]:
        flags = pika.BasicProperties.FLAG_HEADERS | pika.BasicProperties.FLAG_MESSAGE_ID
        return [flags.to_bytes(2), len(self._table).to_bytes(4), self._table, b"\x03odd"]


def _nested_lists(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = b"A" + len(inner).to_bytes(4) + inner
    return b"\x01l" + inner


@pytest.mark.parametrize(
    "table",
    [
        b"\x01tT" + b"\xff" * 8,
        _nested_lists(3000),
        b"\x01s" + b"S\x00\x00\x00\x02\xff\xfe",
        b"\x02\xff\xfet\x01",
        b"\x01z" + b"S\x00\x00\x00\x01\x00",
    ],
    ids=["a time beyond the calendar", "nested too deep", "no UTF-8", "a name that is no UTF-8", "U+0000"],
)
async def test_strange_headers_neither_break_the_connection_nor_hide_the_message(
    amqp: AmqpConnection, amqp_url: str, table: bytes
) -> None:
    inbox = Inbox()
    inbox.gate.set()
    with capture_logs() as logs:
        async with consuming(amqp_url, inbox):
            await asyncio.to_thread(_publish_raw, amqp_url, _RawHeaders(table))
            await Publisher(amqp).publish([trade(1)])

            await inbox.until(lambda: inbox.done == ["odd", "1"])

    assert logs == []


def _publish_raw(url: str, properties: pika.BasicProperties) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("trades", "approved.main.EURUSD", b"{}", properties)


async def _delete(url: str, queue: str) -> None:
    def delete() -> None:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            connection.channel().queue_delete(queue)

    await asyncio.to_thread(delete)
