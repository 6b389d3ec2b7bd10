"""What a commit has put into the outbox is published without being read back, unless anything else may be there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.faults.proxy import Proxy
from tests.faults.wire_formats import COMMITTED
from tests.fixtures.amqp import until, until_ready
from tests.fixtures.relaying import relaying
from tests.integration.ledger.stories import (
    NOON,
    RealClock,
    a_message,
    a_refusal,
    a_trade,
    an_arrival,
    failed,
    rejected,
    written_ahead,
)
from worker.domain.message import PublishResult
from worker.ledger import mailbox, tray
from worker.ledger.ledger import PostgresLedger
from worker.ledger.line import Line
from worker.ledger.mailbox import PostgresOutbox
from worker.ledger.operators import operator, republish
from worker.ledger.round_trip import round_trip
from worker.messaging.connection import AmqpConnection
from worker.messaging.relay import Relay
from worker.observability import Outage
from worker.ports import OutboxRow

pytestmark = pytest.mark.services

Looks = list[str]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Remember each look into the outbox."""
    taken: Looks = []

    async def seen(*asked: Any) -> Any:
        taken.append("look")
        return await round_trip(*asked)

    monkeypatch.setattr(mailbox, "round_trip", seen)
    return taken


@pytest.fixture
async def told(ledger: PostgresLedger, looks: Looks) -> PostgresLedger:
    """Lead a ledger that has published everything, and whose relay has seen that."""
    await refused(ledger, 0)
    rows = await ledger.outbox.pending(10)
    await ledger.outbox.mark({row.id: PublishResult.CONFIRMED for row in rows})
    assert await ledger.outbox.pending(10) == []
    looks.clear()
    return ledger


async def refused(ledger: PostgresLedger, number: int) -> None:
    """Put a dead letter, a confirmation and its copy into the outbox."""
    message = a_message(body=b"%d" % number, correlation_id=f"M-{number}", reply_to="desk")
    await ledger.refuse(a_refusal(message))


async def in_the_ledger(url: str) -> Sequence[OutboxRow]:
    outbox = PostgresOutbox("main", Line(url, "test", Outage("postgresql", "nothing")))
    rows = await outbox.pending(1000)
    await outbox.close()
    return rows


async def test_what_is_handed_over_is_what_the_ledger_would_have_shown(
    told: PostgresLedger, ledger_url: str, looks: Looks
) -> None:
    # Given messages of each kind that a worker queues, some of them in one commit
    await asyncio.gather(*(refused(told, number) for number in range(1, 4)))
    for name, ending in (("A", rejected), ("B", failed)):
        asked = a_message(message_id=name, correlation_id="é/1", reply_to="desk", content_type="application/json")
        execution = (await told.admit(an_arrival(a_trade(name), asked))).execution
        await told.record(ending(await told.record(written_ahead(execution))))

    handed = await told.outbox.pending(1000)

    assert looks == []
    assert handed == await in_the_ledger(ledger_url)


async def test_what_an_operator_has_queued_in_between_keeps_its_place(
    told: PostgresLedger, ledger_url: str, looks: Looks
) -> None:
    await refused(told, 1)
    async with operator(ledger_url, RealClock()) as desk:
        since = NOON - timedelta(days=1)
        assert await republish(desk, "main", since, RealClock().now() + timedelta(days=1), by="ann") == 2
    await refused(told, 2)

    assert await told.outbox.pending(1000) == await in_the_ledger(ledger_url)
    assert looks == ["look"] * 2


async def test_what_operators_queue_while_nothing_else_happens_is_seen_as_soon_as_it_is_asked_for(
    told: PostgresLedger, ledger_url: str
) -> None:
    async with operator(ledger_url, RealClock()) as desk:
        await republish(desk, "main", NOON - timedelta(days=1), RealClock().now() + timedelta(days=1), by="ann")

    assert await told.outbox.pending(1000) == await in_the_ledger(ledger_url) != []


async def test_a_commit_whose_answer_is_lost_is_read_back(ledger_url: str) -> None:
    with Proxy(ledger_url) as wire:
        ledger = await PostgresLedger.open(wire.url, account="main", worker_id="host:1", clock=RealClock())
        await ledger.lead()
        await refused(ledger, 1)
        first = await ledger.outbox.pending(1000)

        wire.cut_at(COMMITTED)
        await refused(ledger, 2)
        await refused(ledger, 3)

        rest = await ledger.outbox.pending(1000, {row.id for row in first})
        assert [*first, *rest] == await in_the_ledger(ledger_url)
        assert [row.message.body for row in rest][::3] == [b"2", b"3"]
        await ledger.close()


async def test_what_was_given_and_comes_again_is_read_before_what_was_committed_after_it(
    told: PostgresLedger, looks: Looks
) -> None:
    await refused(told, 1)
    given = await told.outbox.pending(2)
    await refused(told, 2)

    assert (await told.outbox.pending(1000))[:2] == given
    assert looks == ["look"]


async def test_all_of_it_reaches_rabbitmq_once_and_in_order_although_it_was_away(
    told: PostgresLedger, amqp: AmqpConnection, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tray, "MOST_ROWS", 9)
    channel = await amqp.channel()
    await channel.declare_private_queue("sub.order")
    await channel.bind("sub.order", "executions", "confirmation.#")
    with Proxy(amqp_url) as wire:
        async with relaying(wire.url, told.outbox) as relay:
            # Given a relay that has published what was handed over
            for number in range(1, 4):
                await refused(told, number)
            await until_published(relay, 3)

            # When RabbitMQ is away for some commits, then for more than the tray holds
            for away in (range(4, 7), range(7, 20)):
                wire.refuse()
                wire.cut()
                for number in away:
                    await refused(told, number)
                wire.heal()
                await until_published(relay, away.stop - 1)

    # Then each has come once, in the order of its commit
    heard: list[str | None] = []
    await channel.consume("sub.order", lambda _tag, message: heard.append(message.correlation_id))
    await until_ready(amqp, "sub.order", 0)
    assert heard == [f"M-{number}" for number in range(1, 20)]
    assert await told.outbox.pending(1000) == []


async def until_published(relay: Relay, refusals: int) -> None:
    """Wait until of each the dead letter and the confirmation were taken."""
    await until(lambda: relay.counts.published == 2 * refusals)
