"""Refused messages, dead letters, and trying them again: told once, stored once, replayed once."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.ledger.stories import (
    NOON,
    RealClock,
    a_draft,
    a_letter,
    a_message,
    a_refusal,
    a_trade,
    an_arrival,
    failed,
    redelivered,
    rejected,
    written_ahead,
)
from worker.domain.errors import NotFound, Refused
from worker.domain.execution import Execution, State
from worker.domain.message import IncomingMessage, MessageKind, PublishResult
from worker.ledger.desk import LetterFilter, dead_letter, dead_letters
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import operator
from worker.ledger.replays import ReplayOrder, replay
from worker.ports import Admittance, Change, DeadLetter

pytestmark = pytest.mark.services


async def test_a_refused_message_leaves_a_dead_letter_a_confirmation_and_a_copy_for_its_sender(
    ledger: PostgresLedger,
) -> None:
    await ledger.refuse(a_refusal(a_message(body=b"\x00{", reply_to="desk", correlation_id="c-1")))

    messages = [row.message for row in await ledger.outbox.pending(10)]
    assert [m.kind for m in messages] == [MessageKind.DEAD_LETTER, MessageKind.CONFIRMATION, MessageKind.REPLY]
    assert (messages[0].body, messages[2].routing_key, messages[2].correlation_id) == (b"\x00{", "desk", "c-1")


async def test_a_huge_message_is_refused_like_any_other(ledger: PostgresLedger) -> None:
    huge = random.Random(1).randbytes(20 * 1024 * 1024)  # noqa: S311 - not a secret, only nothing that compresses

    await ledger.refuse(a_refusal(a_message(body=huge), "message_too_large"))

    (dead, _) = await ledger.outbox.pending(10)
    assert dead.message.body == huge


async def test_a_redelivery_of_a_refused_message_adds_nothing_but_a_second_message_does(
    ledger: PostgresLedger,
) -> None:
    message = a_message(body=b"{")
    await ledger.refuse(a_refusal(message))
    once = len(await ledger.outbox.pending(10))

    await ledger.refuse(a_refusal(redelivered(message)))
    assert len(await ledger.outbox.pending(10)) == once

    await ledger.refuse(a_refusal(message))
    assert len(await ledger.outbox.pending(10)) == 2 * once


async def test_a_dead_letter_is_stored_once_and_comes_back_byte_for_byte(
    ledger: PostgresLedger, ledger_url: str
) -> None:
    letter = a_letter(a_message(body=b"\xff\x00", message_id="m-1", headers={"traceparent": "00-1"}))

    assert await ledger.take_in(letter, None)
    assert not await ledger.take_in(letter, None)

    async with operator(ledger_url, RealClock()) as desk:
        (line,) = await dead_letters(desk, LetterFilter(reasons=["malformed_json"], states=["new"]), 10)
        stored = await dead_letter(desk, line.id)
    assert (line.id, line.account, stored.message) == (letter.letter_id, "main", letter.message)
    assert stored.headers == {"failure-reason": "malformed_json"}


async def test_a_letter_without_an_id_of_its_own_is_recognised_when_it_is_redelivered(ledger: PostgresLedger) -> None:
    letter = replace(a_letter(a_message()), content_digest="abc")
    await ledger.take_in(letter, None)

    second = replace(letter, letter_id=uuid4())
    again = replace(second, message=redelivered(letter.message))

    assert not await ledger.take_in(again, None)
    assert await ledger.take_in(second, None)


async def test_the_sender_of_a_message_that_rabbitmq_gave_up_is_told_unless_the_trade_is_known(
    ledger: PostgresLedger,
) -> None:
    known, unknown = a_message(message_id="m-known"), a_message(message_id="m-lost")
    await ledger.admit(an_arrival(a_trade("RPM-1"), known))

    await ledger.take_in(a_letter(known), replace(a_refusal(known, "delivery_limit"), trade_id="RPM-1"))
    assert await ledger.outbox.pending(10) == []

    await ledger.take_in(a_letter(unknown), a_refusal(unknown, "delivery_limit"))
    kinds = [row.message.kind for row in await ledger.outbox.pending(10)]
    assert MessageKind.CONFIRMATION in kinds


async def test_a_replayed_message_that_never_became_a_trade_is_processed_as_new_with_its_permission(
    ledger: PostgresLedger, ledger_url: str
) -> None:
    letter = a_letter(a_message(headers={"traceparent": "00-1", "x-death": "old"}))
    await ledger.take_in(letter, None)

    delivered = await _replay(ledger, ledger_url, letter.letter_id, allow_stale=True)

    assert (delivered.exchange, delivered.routing_key) == ("trades", "approved.main.EURUSD")
    assert (delivered.body, set(delivered.headers)) == (letter.message.body, {"traceparent", "replay-id"})
    first, second = [await ledger.admit(an_arrival(message=delivered)) for _ in range(2)]
    assert (first.admittance, first.execution.stale_allowed) == (Admittance.NEW, True)
    assert second.admittance is Admittance.REPEAT
    assert await _state(ledger_url, letter) == "replaying"

    await ledger.record(rejected(first.execution))
    assert await _state(ledger_url, letter) == "resolved"


async def test_a_trade_that_ended_in_error_is_reopened_by_its_replay_once(
    ledger: PostgresLedger, ledger_url: str
) -> None:
    ended, letter = await _trade_that_ended_in_error(ledger)

    delivered = await _replay(ledger, ledger_url, letter.letter_id)
    reopened = await ledger.admit(an_arrival(message=delivered))
    again = await ledger.admit(an_arrival(message=delivered))

    assert (reopened.admittance, again.admittance) == (Admittance.REOPENED, Admittance.REPEAT)
    expected = (ended.execution_id, State.RECEIVED, ended.revision + 1, ended.sends, None)
    assert _essence(reopened.execution) == expected
    assert await ledger.open_executions() == [reopened.execution]


async def test_a_replay_that_fails_again_says_so(ledger: PostgresLedger, ledger_url: str) -> None:
    _, letter = await _trade_that_ended_in_error(ledger)

    delivered = await _replay(ledger, ledger_url, letter.letter_id)
    reopened = (await ledger.admit(an_arrival(message=delivered))).execution
    await ledger.record(failed(await ledger.record(written_ahead(reopened))))

    assert await _state(ledger_url, letter) == "failed_again"


async def test_a_replay_that_is_refused_again_says_so(ledger: PostgresLedger, ledger_url: str) -> None:
    letter = a_letter(a_message(body=b"{"))
    await ledger.take_in(letter, None)

    delivered = await _replay(ledger, ledger_url, letter.letter_id)
    await ledger.refuse(a_refusal(delivered))

    assert await _state(ledger_url, letter) == "failed_again"


async def test_a_replay_of_a_trade_that_has_been_executed_is_only_confirmed_again(
    ledger: PostgresLedger, ledger_url: str
) -> None:
    execution = (await ledger.admit(an_arrival())).execution
    await ledger.record(rejected(execution))
    letter = replace(a_letter(a_message()), trade_id="RPM-1")
    await ledger.take_in(letter, None)

    delivered = await _replay(ledger, ledger_url, letter.letter_id)
    again = await ledger.admit(an_arrival(message=delivered))

    assert (again.admittance, again.execution.state) == (Admittance.REPEAT, State.REJECTED)
    assert await _state(ledger_url, letter) == "resolved"


async def test_what_must_not_be_replayed_is_refused_with_the_reason(ledger: PostgresLedger, ledger_url: str) -> None:
    stale, nowhere = a_letter(a_message()), replace(a_letter(a_message()), account=None)
    for letter in (stale, nowhere):
        await ledger.take_in(letter, None)

    async with operator(ledger_url, RealClock()) as desk:
        order = an_order(stale.letter_id, max_trade_age=timedelta(seconds=60), approved_at=NOON)
        with pytest.raises(Refused, match="the limit is 60 s: it would expire; --allow-stale trades it"):
            await replay(desk, order)
        await replay(desk, replace(order, allow_stale=True))
        with pytest.raises(Refused, match="is replaying by ann: only a new one"):
            await replay(desk, order)
        with pytest.raises(Refused, match="names no account"):
            await replay(desk, replace(order, letter_id=nowhere.letter_id))
        with pytest.raises(NotFound, match="there is no dead letter"):
            await replay(desk, replace(order, letter_id=uuid4()))


async def test_an_unresolved_trade_cannot_be_replayed(ledger: PostgresLedger, ledger_url: str) -> None:
    execution = await ledger.record(written_ahead((await ledger.admit(an_arrival())).execution))
    execution = await ledger.record(Change(execution.advance(State.UNKNOWN)))
    after = execution.advance(State.UNRESOLVED, version=1, reason="outcome_unknown")
    await ledger.record(Change(after, confirmation=a_draft(after)))
    letter = replace(a_letter(a_message()), execution_id=execution.execution_id)
    await ledger.take_in(letter, None)

    async with operator(ledger_url, RealClock()) as desk:
        with pytest.raises(Refused, match="unresolved: its order may stand at the broker; resolve it first"):
            await replay(desk, an_order(letter.letter_id, allow_stale=True))


def an_order(letter_id: UUID, **more: Any) -> ReplayOrder:
    settled: dict[str, Any] = {"by": "ann", "reason": "the cause is fixed", "max_trade_age": timedelta(0)}
    return ReplayOrder(letter_id=letter_id, **(settled | more))


async def _trade_that_ended_in_error(ledger: PostgresLedger) -> tuple[Execution, DeadLetter]:
    execution = await ledger.record(written_ahead((await ledger.admit(an_arrival())).execution))
    ended = await ledger.record(failed(execution))
    letter = replace(a_letter(execution.message), trade_id="RPM-1", execution_id=execution.execution_id)
    await ledger.take_in(letter, None)
    return ended, letter


async def _replay(
    ledger: PostgresLedger, ledger_url: str, letter_id: UUID, *, allow_stale: bool = False
) -> IncomingMessage:
    """Replay a letter as an operator does and return its message as the worker will get it."""
    await ledger.outbox.mark({row.id: PublishResult.CONFIRMED for row in await ledger.outbox.pending(100)})
    async with operator(ledger_url, RealClock()) as desk:
        await replay(desk, an_order(letter_id, allow_stale=allow_stale))
    (row,) = await ledger.outbox.pending(100)
    sent = row.message
    return a_message(body=sent.body, exchange=sent.exchange, routing_key=sent.routing_key, headers=sent.headers)


async def _state(ledger_url: str, letter: DeadLetter) -> str:
    async with operator(ledger_url, RealClock()) as desk:
        return (await dead_letter(desk, letter.letter_id)).line.state


def _essence(execution: Execution) -> tuple[object, ...]:
    return (execution.execution_id, execution.state, execution.revision, execution.round_start, execution.reason)
