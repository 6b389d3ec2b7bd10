"""The outbox reaches RabbitMQ: in order, all of it, whatever is wrong with some of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from tests.fixtures.amqp import until, until_ready
from tests.fixtures.outbox import MemoryOutbox, confirmation, reply
from tests.fixtures.relaying import relaying
from worker.domain.errors import LedgerUnavailable
from worker.domain.message import IncomingMessage, PublishResult
from worker.messaging import relay as relay_module
from worker.messaging.connection import AmqpConnection
from worker.messaging.inspection import listen

pytestmark = pytest.mark.services


@asynccontextmanager
async def subscribed(url: str) -> AsyncIterator[asyncio.Queue[IncomingMessage]]:
    """Listen to all confirmations; the block begins when the first one would be heard."""
    heard: asyncio.Queue[IncomingMessage] = asyncio.Queue()
    listening = asyncio.Event()

    async def hear() -> None:
        async for message in listen(url, on_ready=listening.set):
            await heard.put(message)

    hearing = asyncio.create_task(hear())
    try:
        async with asyncio.timeout(20):
            await listening.wait()
        yield heard
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


@pytest.mark.usefixtures("amqp")
async def test_a_confirmation_leaves_as_soon_as_it_is_committed(amqp_url: str) -> None:
    outbox = MemoryOutbox()
    async with relaying(amqp_url, outbox):
        outbox.put(confirmation(0))
        await outbox.until_empty()

        begun = time.monotonic()
        [row_id] = outbox.put(confirmation(1))
        await outbox.until_empty()

    assert time.monotonic() - begun < relay_module.IDLE_SECONDS / 2
    assert outbox.results[row_id] is PublishResult.CONFIRMED


@pytest.mark.usefixtures("amqp")
async def test_a_lone_confirmation_is_asked_for_once(amqp_url: str) -> None:
    outbox = MemoryOutbox()
    async with relaying(amqp_url, outbox):
        outbox.put(confirmation(0))
        await outbox.until_empty()
        before = outbox.questions

        for number in range(1, 11):
            outbox.put(confirmation(number))
            await outbox.until_empty()

        assert outbox.questions - before <= 10 + 1


@pytest.mark.usefixtures("amqp")
async def test_an_idle_relay_asks_seldom(amqp_url: str) -> None:
    outbox = MemoryOutbox()
    async with relaying(amqp_url, outbox):
        await asyncio.sleep(1.5)  # the passing of time is the story

        assert outbox.questions <= 4


async def test_confirmations_arrive_in_the_order_of_their_commit(amqp: AmqpConnection, amqp_url: str) -> None:
    outbox = MemoryOutbox()
    outbox.put(*map(confirmation, range(1200)))
    channel = await amqp.channel()
    heard: list[str | None] = []
    await channel.declare_private_queue("sub.order")
    await channel.bind("sub.order", "executions", "confirmation.#")
    await channel.consume("sub.order", lambda _tag, message: heard.append(message.message_id))

    async with relaying(amqp_url, outbox):
        await outbox.until_empty()
        await until_ready(amqp, "executions.unrouted", 0)

    assert heard == [f"{number}:1" for number in range(1200)]


async def test_a_reply_queue_gets_its_copy(amqp: AmqpConnection, amqp_url: str) -> None:
    outbox = MemoryOutbox()
    channel = await amqp.channel()
    await channel.declare_private_queue("asker")

    async with relaying(amqp_url, outbox) as relay:
        outbox.put(confirmation(1), reply("asker"))
        await outbox.until_empty()

        await until_ready(amqp, "asker", 1)
        assert relay.counts.published == 2
        assert relay.counts.replies_lost == 0


@pytest.mark.usefixtures("amqp")
async def test_marks_that_wait_hold_nothing_up_and_nothing_comes_twice(amqp_url: str) -> None:
    # Given an outbox that does not write marks for now
    outbox = MemoryOutbox()
    outbox.writes_marks.clear()
    async with subscribed(amqp_url) as heard, relaying(amqp_url, outbox) as relay:
        # When one confirmation after the other is committed
        for number in range(3):
            outbox.put(confirmation(number), reply("vanished"))
            assert (await heard.get()).message_id == f"{number}:1"

        # Then a stop waits for the marks, and each of them has come once
        stopping = asyncio.create_task(relay.stop(within=10))
        await until(lambda: relay.counts.replies_lost == 3)
        assert len(outbox.rows) == 6
        outbox.writes_marks.set()
        await stopping

        assert outbox.rows == {}
        assert heard.empty()
    assert relay.counts.published == 3


@pytest.mark.usefixtures("amqp")
async def test_replies_that_find_nobody_are_counted_and_forgotten(amqp_url: str) -> None:
    outbox = MemoryOutbox()
    with capture_logs() as logs:
        async with relaying(amqp_url, outbox) as relay:
            outbox.put(reply("vanished"), confirmation(1), reply("x" * 300), confirmation(2))
            await outbox.until_empty()

    assert list(outbox.results.values()).count(PublishResult.CONFIRMED) == 2
    assert relay.counts.replies_lost == 2
    assert not [line for line in logs if line["event"] == "messages not taken"]


async def test_what_has_no_exchange_waits_for_it_and_holds_up_nobody(
    amqp: AmqpConnection, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "FIRST_PAUSE_SECONDS", 0.1)
    outbox = MemoryOutbox()
    with capture_logs() as logs:
        async with relaying(amqp_url, outbox) as relay:
            early = outbox.put(*(confirmation(number, exchange="later") for number in range(3)))
            others = outbox.put(*(confirmation(number) for number in range(3, 6)))
            await until(lambda: relay.counts.not_taken >= 6)
            assert set(outbox.results) == set(others)

            channel = await amqp.channel()
            await channel.declare_exchange("later", "fanout", {"alternate-exchange": "executions.unrouted"})
            await outbox.until_empty()

    assert {outbox.results[row_id] for row_id in early} == {PublishResult.CONFIRMED}
    advice = [line for line in logs if line["event"] == "messages not taken"]
    assert advice
    assert all("create the exchange" in line["todo"] for line in advice)


@pytest.mark.usefixtures("amqp")
async def test_more_refused_messages_than_a_batch_do_not_hide_the_next_one(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "BATCH", 3)
    outbox = MemoryOutbox()
    with capture_logs():
        async with relaying(amqp_url, outbox) as relay:
            outbox.put(*(confirmation(number, exchange="nowhere") for number in range(10)))
            [good] = outbox.put(confirmation(10))
            await until(lambda: good in outbox.results)
            assert len(outbox.rows) == 10
            await relay.stop(within=10)


async def test_a_confirmation_that_no_queue_takes_stays_in_the_outbox(amqp: AmqpConnection, amqp_url: str) -> None:
    outbox = MemoryOutbox()
    channel = await amqp.channel()
    await channel.declare_exchange("nobody-listens", "topic", {})
    with capture_logs() as logs:
        async with relaying(amqp_url, outbox) as relay:
            outbox.put(confirmation(1, exchange="nobody-listens"))
            await until(lambda: relay.counts.not_taken > 0)

    assert len(outbox.rows) == 1
    assert "topology declare" in logs[0]["todo"]


async def test_stopping_publishes_what_is_there(amqp: AmqpConnection, amqp_url: str) -> None:
    outbox = MemoryOutbox()
    channel = await amqp.channel()
    await channel.declare_private_queue("asker")
    async with relaying(amqp_url, outbox) as relay:
        outbox.put(confirmation(0))
        await outbox.until_empty()

        outbox.put(*(message for number in range(700) for message in (confirmation(number), reply("asker", number))))
        await relay.stop(within=20)

    assert outbox.rows == {}
    await until_ready(amqp, "asker", 700)


@pytest.mark.usefixtures("amqp")
async def test_a_ledger_that_does_not_answer_is_asked_again(amqp_url: str) -> None:
    class Moody(MemoryOutbox):
        failures = 3

        async def wait(self, at_most: float) -> None:
            await self._perhaps()
            await super().wait(at_most)

        async def _perhaps(self) -> None:
            if self.failures:
                self.failures -= 1
                raise LedgerUnavailable("no ledger")

    outbox = Moody()
    async with relaying(amqp_url, outbox):
        outbox.put(confirmation(1))
        await outbox.until_empty()
