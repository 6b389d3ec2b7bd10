"""Every step of an execution is one commit: the row, its parts, the events, the confirmation and the mail."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.integration.ledger.conftest import OpenLedger
from tests.integration.ledger.stories import (
    RealClock,
    a_deal,
    a_trade,
    accepted,
    an_arrival,
    failed,
    filled,
    rejected,
    unknown,
    unresolved,
    written_ahead,
)
from worker.domain.errors import HaltedAtCommit, IllegalTransition, LeaseLost, NotFound, StaleRevision, WorkerError
from worker.domain.execution import TRANSITIONS, Execution, State
from worker.domain.message import MessageKind
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import halt, operator, resume
from worker.ports import Change, Event

pytestmark = pytest.mark.services


async def test_an_execution_comes_back_exactly_as_its_steps_left_it(ledger: PostgresLedger) -> None:
    execution = await _new(ledger)
    for step in (written_ahead, accepted):
        execution = await ledger.record(step(execution))

    settled = await ledger.record(filled(execution, 9001))

    assert settled.deals == (a_deal(settled, 9001),)
    assert await ledger.find_by_token(settled.token) == settled
    assert await ledger.open_executions() == []
    assert await ledger.unrecorded([9001, 9002]) == {9002}


async def test_the_confirmation_carries_the_chain_s_head_right_before_its_own_event(
    ledger: PostgresLedger, database: Connection
) -> None:
    execution = await _new(ledger)

    await ledger.record(rejected(execution))

    (row,) = await ledger.outbox.pending(10)
    audit = json.loads(row.message.body)["audit"]
    cursor = await database.execute("select sequence, hash, kind, payload from ledger.audit_events order by sequence")
    *_, before, own = await cursor.fetchall()
    assert audit == {"sequence": before["sequence"], "hash": before["hash"]}
    assert own["kind"] == "confirmed"
    assert json.loads(own["payload"])["sha256"] == hashlib.sha256(row.message.body).hexdigest()
    assert (row.message.exchange, row.message.message_id) == ("executions", f"{execution.execution_id}:1")
    assert (row.message.type, row.message.content_type) == ("ExecutionConfirmation", "application/json")


async def test_an_execution_that_ends_in_error_leaves_its_dead_letter_in_the_same_commit(
    ledger: PostgresLedger,
) -> None:
    execution = await ledger.record(written_ahead(await _new(ledger)))

    await ledger.record(failed(execution))

    kinds = [row.message.kind for row in await ledger.outbox.pending(10)]
    assert kinds == [MessageKind.CONFIRMATION, MessageKind.DEAD_LETTER]


async def test_two_coroutines_that_move_the_same_execution_cannot_both_succeed(ledger: PostgresLedger) -> None:
    execution = await _new(ledger)

    outcomes = await asyncio.gather(
        ledger.record(written_ahead(execution)), ledger.record(rejected(execution)), return_exceptions=True
    )

    assert isinstance(outcomes[0], Execution)
    assert isinstance(outcomes[1], StaleRevision)
    assert await ledger.open_executions() == [outcomes[0]]


async def test_two_steps_of_one_execution_that_wait_together_are_both_written(ledger: PostgresLedger) -> None:
    execution = await _new(ledger)
    ahead = written_ahead(execution)

    await asyncio.gather(ledger.record(ahead), ledger.record(accepted(ahead.after)))

    (stored,) = await ledger.open_executions()
    assert (stored.state, stored.revision) == (State.ACCEPTED, 3)


async def test_after_a_halt_nothing_is_written_ahead_and_everything_else_goes_on(
    ledger: PostgresLedger, ledger_url: str
) -> None:
    first, second = await _new(ledger, "A"), await _new(ledger, "B")
    first = await ledger.record(written_ahead(first))
    async with operator(ledger_url, RealClock()) as desk:
        await halt(desk, "main", reason="fat finger", by="ann@desk")

        with pytest.raises(HaltedAtCommit, match="halted by ann@desk: fat finger; nothing was sent"):
            await ledger.record(written_ahead(second))
        await ledger.record(accepted(first))
        assert str(ledger.halts.account) == "halted by ann@desk: fat finger"

        assert await resume(desk, "main", reason="fixed", by="ann@desk")
        await ledger.record(written_ahead(second))
        assert not list(ledger.halts)


async def test_the_error_of_one_job_is_its_own(ledger: PostgresLedger) -> None:
    good, bad = await _new(ledger, "A"), await _new(ledger, "B")
    unspeakable = Change(replace(bad, revision=2, state=State.FILLED, version=1))  # filled with nothing executed

    outcomes = await asyncio.gather(
        ledger.record(unspeakable),
        ledger.record(written_ahead(good)),
        ledger.admit(an_arrival(a_trade("C"))),
        return_exceptions=True,
    )

    assert isinstance(outcomes[0], IllegalTransition)
    assert not any(isinstance(outcome, Exception) for outcome in outcomes[1:])


async def test_an_event_that_cannot_be_written_leaves_no_trace_of_its_step(ledger: PostgresLedger) -> None:
    execution = await _new(ledger)
    step = written_ahead(execution)

    with pytest.raises(TypeError, match="object cannot be written"):
        await ledger.record(replace(step, events=(*step.events, Event("odd", {"value": object()}))))

    assert await ledger.open_executions() == [execution]
    await ledger.record(step)


async def test_a_worker_that_was_replaced_can_write_nothing_and_is_told_once(
    open_ledger: OpenLedger, database: Connection
) -> None:
    told: list[str] = []
    ledger = await open_ledger(on_lease_lost=lambda: told.append("lost"))
    execution = await _new(ledger)
    await database.execute("update ledger.accounts set lease_epoch = lease_epoch + 1, lease_holder = 'other:1'")

    outcomes = await asyncio.gather(
        ledger.record(written_ahead(execution)), ledger.admit(an_arrival(a_trade("B"))), return_exceptions=True
    )
    with pytest.raises(LeaseLost):
        await ledger.lease.renew({})

    assert [type(outcome) for outcome in outcomes] == [LeaseLost, LeaseLost]
    assert told == ["lost"]
    cursor = await database.execute("select state from ledger.executions")
    assert [row["state"] for row in await cursor.fetchall()] == ["received"]


async def test_the_last_attempt_is_the_one_with_the_highest_number(ledger: PostgresLedger) -> None:
    execution = await _new(ledger)
    with pytest.raises(NotFound, match="has no attempt: nothing was ever written ahead"):
        await ledger.latest_attempt(execution.execution_id)
    ahead = await ledger.record(written_ahead(execution))
    second = written_ahead(await ledger.record(Change(ahead.advance(State.RECEIVED))))
    await ledger.record(second)

    assert await ledger.latest_attempt(execution.execution_id) == second.attempt


async def test_the_unresolved_are_found_in_the_order_of_their_arrival(ledger: PostgresLedger) -> None:
    executions = [await _new(ledger, name) for name in ("B", "A", "C")]
    for execution in executions[:2]:
        await ledger.record(unresolved(await ledger.record(unknown(await ledger.record(written_ahead(execution))))))

    assert [one.trade.identity.trade_id for one in await ledger.unresolved()] == ["B", "A"]
    assert [one.trade.identity.trade_id for one in await ledger.open_executions()] == ["C"]


async def test_the_schema_holds_the_domain_s_table_of_transitions(database: Connection) -> None:
    cursor = await database.execute("select from_state, to_state from ledger.transitions")

    in_the_schema = {(row["from_state"], row["to_state"]) for row in await cursor.fetchall()}

    assert in_the_schema == {(source.value, to.value) for source, goals in TRANSITIONS.items() for to in goals}


async def test_the_schema_allows_from_a_state_what_the_domain_allows_and_no_more(ledger: PostgresLedger) -> None:
    for state in sorted(set(State) - {State.RECEIVED}):
        execution = await _new(ledger, f"RPM-{state}")
        forced = Change(replace(execution, revision=2, state=state, version=1, attempts=1, reason="why"))

        if state in TRANSITIONS[State.RECEIVED]:
            await ledger.record(forced)
        else:
            with pytest.raises(IllegalTransition, match=f"received -> {state} is not a legal transition"):
                await ledger.record(forced)


async def test_the_schema_names_every_state_of_the_domain(database: Connection) -> None:
    cursor = await database.execute(
        "select pg_get_constraintdef(oid) as text from pg_constraint where conname = 'state_is_known'"
    )
    row = await cursor.fetchone()

    assert row is not None
    assert set(re.findall(r"'(\w+)'", row["text"])) == {state.value for state in State}


async def test_a_constraint_of_the_schema_speaks_in_a_sentence(ledger: PostgresLedger) -> None:
    execution = await _new(ledger)

    with (
        capture_logs() as lines,
        pytest.raises(
            WorkerError, match=r"the ledger refused a write, nothing of it is stored: .*refused_means_a_reason"
        ),
    ):
        await ledger.record(Change(execution.advance(State.REJECTED, version=1)))

    [line] = lines
    assert (line["execution_id"], line["trade_id"]) == (str(execution.execution_id), "RPM-1")


async def _new(ledger: PostgresLedger, order_id: str = "RPM-1") -> Execution:
    return (await ledger.admit(an_arrival(a_trade(order_id)))).execution
