"""What waits to be published: in order, in bounded portions, until RabbitMQ has it."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.ledger.stories import a_message, a_refusal, a_trade, an_arrival, rejected
from worker.domain.message import MessageKind, PublishResult
from worker.ledger import mailbox
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger

pytestmark = pytest.mark.services


async def test_messages_come_in_the_order_of_their_commits_and_those_in_hand_are_left_out(
    ledger: PostgresLedger,
) -> None:
    for number in range(5):
        await ledger.refuse(a_refusal(a_message(body=b"%d" % number)))

    first = await ledger.outbox.pending(4)
    rest = await ledger.outbox.pending(100, {row.id for row in first})

    dead = [row.message.body for row in [*first, *rest] if row.message.kind is MessageKind.DEAD_LETTER]
    assert dead == [b"0", b"1", b"2", b"3", b"4"]
    assert [row.id for row in [*first, *rest]] == sorted(row.id for row in [*first, *rest])


async def test_a_portion_holds_a_bounded_number_of_bytes_but_at_least_one_message(
    ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (300, 100, 100):
        await ledger.refuse(a_refusal(a_message(body=b"x" * size)))
    monkeypatch.setattr(mailbox, "MAX_BYTES", 250)

    one = await ledger.outbox.pending(100)
    assert [len(row.message.body) for row in one] == [300]

    more = await ledger.outbox.pending(100, {one[0].id})
    assert sum(len(row.message.body) for row in more) <= 250
    assert len(more) > 1


async def test_what_rabbitmq_has_taken_leaves_and_a_refused_one_stays_unless_it_is_a_reply(
    ledger: PostgresLedger, database: Connection
) -> None:
    execution = (await ledger.admit(an_arrival(message=a_message(reply_to="desk")))).execution
    await ledger.record(rejected(execution))
    main, reply = await ledger.outbox.pending(10)

    await ledger.outbox.mark({main.id: PublishResult.REFUSED, reply.id: PublishResult.REFUSED})
    assert [row.id for row in await ledger.outbox.pending(10)] == [main.id]

    await ledger.outbox.mark({main.id: PublishResult.RETURNED})
    await ledger.outbox.mark({main.id: PublishResult.RETURNED})
    assert await ledger.outbox.pending(10) == []
    cursor = await database.execute("select published_at is not null as published from ledger.confirmations")
    assert await cursor.fetchall() == [{"published": True}]


async def test_the_relay_is_woken_by_a_commit_and_else_by_its_own_patience(ledger: PostgresLedger) -> None:
    assert await ledger.outbox.pending(10) == []
    await ledger.outbox.wait(0.01)

    waiting = asyncio.create_task(ledger.outbox.wait(60))
    await ledger.refuse(a_refusal())
    await waiting

    assert await ledger.outbox.pending(10) != []


async def test_what_is_committed_between_looking_and_waiting_is_not_slept_through(ledger: PostgresLedger) -> None:
    await ledger.outbox.pending(10)
    await ledger.record(rejected((await ledger.admit(an_arrival(a_trade("A")))).execution))

    async with asyncio.timeout(5):
        await ledger.outbox.wait(60)
