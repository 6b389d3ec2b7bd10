"""A trade is written down once, whatever is delivered how often."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from tests.integration.ledger.conftest import OpenLedger
from tests.integration.ledger.stories import (
    RealClock,
    a_message,
    a_trade,
    accepted,
    an_arrival,
    filled,
    rejected,
    written_ahead,
)
from worker.domain.execution import Execution, State
from worker.domain.message import MessageKind
from worker.domain.token import attempt_token, namespace_of
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import halt, operator
from worker.ports import Admittance, Arrival, Change

pytestmark = pytest.mark.services


async def test_a_new_trade_is_stored_as_it_came_with_a_token_of_this_database(ledger: PostgresLedger) -> None:
    message = a_message(body='{"ü": 1}'.encode(), message_id="m-1", headers={"traceparent": "00-1"}, reply_to="me")
    arrival = an_arrival(message=message)

    admission = await ledger.admit(arrival)

    assert admission.admittance is Admittance.NEW
    assert admission.execution.execution_id == arrival.execution_id
    assert namespace_of(admission.execution.token) in ledger.namespaces
    assert await ledger.open_executions() == [admission.execution]
    assert await ledger.find_by_token(admission.execution.token) == admission.execution


class Ahead:
    """The first attempt of an arrival."""

    def __init__(self, arrival: Arrival) -> None:
        self._arrival = arrival

    def change(self, token: int) -> Change:
        return written_ahead(self._arrival.as_new(token))


async def test_a_trade_and_its_first_attempt_are_written_in_one_step(
    ledger: PostgresLedger, database: Connection
) -> None:
    arrival = an_arrival()

    admission = await ledger.admit(arrival, Ahead(arrival))

    assert (admission.admittance, admission.execution.state) == (Admittance.NEW, State.SUBMITTING)
    assert await ledger.open_executions() == [admission.execution]
    attempt = await ledger.latest_attempt(arrival.execution_id)
    assert (attempt.number, attempt.magic) == (1, attempt_token(admission.execution.token, 1))
    rows = await (await database.execute("select kind from ledger.audit_events order by sequence")).fetchall()
    assert [row["kind"] for row in rows][-2:] == ["received", "submitting"]

    # Then its next step is a step like any other
    assert (await ledger.record(accepted(admission.execution))).state is State.ACCEPTED


async def test_under_a_halt_a_trade_is_written_down_and_not_written_ahead(
    ledger: PostgresLedger, ledger_url: str, database: Connection
) -> None:
    async with operator(ledger_url, RealClock()) as desk:
        await halt(desk, "main", reason="a test", by="ann")
    arrival = an_arrival()

    admission = await ledger.admit(arrival, Ahead(arrival))

    assert (admission.admittance, admission.execution.state) == (Admittance.NEW, State.RECEIVED)
    assert await _count(database, "attempts") == 0


async def test_a_known_trade_is_not_written_ahead_again(ledger: PostgresLedger, database: Connection) -> None:
    first, second = an_arrival(), an_arrival()

    new, known = await asyncio.gather(ledger.admit(first, Ahead(first)), ledger.admit(second, Ahead(second)))

    assert (new.admittance, known.admittance) == (Admittance.NEW, Admittance.REPEAT)
    assert known.execution == new.execution
    assert await _count(database, "attempts") == 1


async def test_two_deliveries_of_one_trade_that_race_in_one_batch_become_one_execution(
    ledger: PostgresLedger, database: Connection
) -> None:
    first, second = await asyncio.gather(ledger.admit(an_arrival()), ledger.admit(an_arrival()))

    assert (first.admittance, second.admittance) == (Admittance.NEW, Admittance.REPEAT)
    assert first.execution == second.execution
    assert await _count(database, "executions") == 1


async def test_two_deliveries_of_one_trade_in_two_batches_become_one_execution(
    ledger: PostgresLedger, database: Connection
) -> None:
    first = await ledger.admit(an_arrival())
    second = await ledger.admit(an_arrival())

    assert (first.admittance, second.admittance) == (Admittance.NEW, Admittance.REPEAT)
    assert first.execution == second.execution
    assert await _count(database, "executions") == 1


async def test_two_accounts_that_race_for_one_identity_get_one_execution_and_a_conflict(
    open_ledger: OpenLedger, database: Connection
) -> None:
    main, other = await open_ledger("main", "host:1"), await open_ledger("other", "host:2")
    trades = [f"RPM-{number}" for number in range(20)]

    admissions = await asyncio.gather(
        *(main.admit(an_arrival(a_trade(trade))) for trade in trades),
        *(other.admit(an_arrival(a_trade(trade, account="other"))) for trade in trades),
    )

    found = sorted(admission.admittance for admission in admissions)
    assert found == [Admittance.CONFLICT] * 20 + [Admittance.NEW] * 20
    assert await _count(database, "executions") == 20


async def test_the_same_decision_written_with_other_digits_is_the_same_trade(ledger: PostgresLedger) -> None:
    await ledger.admit(an_arrival(a_trade(units="100000")))

    again = await ledger.admit(an_arrival(a_trade(units="1.0E+5")))

    assert again.admittance is Admittance.REPEAT


async def test_the_same_identity_with_another_decision_is_a_conflict_and_writes_nothing(
    ledger: PostgresLedger, database: Connection
) -> None:
    known = await ledger.admit(an_arrival(a_trade(units="100000")))
    events = await _count(database, "audit_events")

    conflict = await ledger.admit(an_arrival(a_trade(units="200000")))

    assert conflict.admittance is Admittance.CONFLICT
    assert conflict.execution == known.execution
    assert await _count(database, "audit_events") == events


async def test_without_an_order_id_an_equal_body_is_the_same_trade(ledger: PostgresLedger) -> None:
    first = await ledger.admit(an_arrival(a_trade(None, body="abc"), a_message(message_id="m-1")))
    same = await ledger.admit(an_arrival(a_trade(None, body="abc"), a_message(message_id="m-2")))
    other = await ledger.admit(an_arrival(a_trade(None, body="def"), a_message(message_id="m-3")))

    assert [first.admittance, same.admittance, other.admittance] == [
        Admittance.NEW,
        Admittance.REPEAT,
        Admittance.NEW,
    ]


async def test_a_repeat_of_a_confirmed_trade_publishes_the_same_bytes_again_and_copies_them_to_its_sender(
    ledger: PostgresLedger,
) -> None:
    first = a_message(reply_to="desk-a", correlation_id="c-a")
    await _fill(ledger, (await ledger.admit(an_arrival(message=first))).execution)
    published = [row.message for row in await ledger.outbox.pending(10)]

    await ledger.admit(an_arrival(message=a_message(reply_to="desk-b", message_id="m-b")))

    again = [row.message for row in await ledger.outbox.pending(10)][len(published) :]
    assert [message.kind for message in published] == [MessageKind.CONFIRMATION, MessageKind.REPLY]
    assert again[0] == published[0]
    assert (again[1].routing_key, again[1].correlation_id, again[1].body) == ("desk-b", "m-b", published[0].body)
    assert {message.message_id for message in published + again} == {published[0].message_id}


async def test_a_repeat_of_an_open_trade_gets_its_copy_when_the_trade_is_confirmed(ledger: PostgresLedger) -> None:
    admission = await ledger.admit(an_arrival())
    await ledger.admit(an_arrival(message=a_message(reply_to="late", correlation_id="c-late")))

    await _fill(ledger, admission.execution)

    messages = [row.message for row in await ledger.outbox.pending(10)]
    assert [(m.kind, m.routing_key, m.correlation_id) for m in messages[1:]] == [(MessageKind.REPLY, "late", "c-late")]


async def test_a_repeat_that_arrives_in_the_very_batch_of_the_confirmation_gets_its_copy_too(
    ledger: PostgresLedger,
) -> None:
    first = a_message(reply_to="desk-a", correlation_id="c-a")
    execution = (await ledger.admit(an_arrival(message=first))).execution

    await asyncio.gather(
        ledger.admit(an_arrival(message=first)),
        ledger.record(rejected(execution)),
        ledger.admit(an_arrival(message=a_message(reply_to="desk-b", correlation_id="c-b"))),
    )

    messages = [row.message for row in await ledger.outbox.pending(10)]
    assert [(m.kind.value, m.correlation_id) for m in messages] == [
        ("confirmation", "c-a"),
        ("reply", "c-a"),
        ("confirmation", "c-a"),
        ("reply", "c-b"),
    ]
    assert len({message.body for message in messages}) == 1


async def test_texts_that_postgresql_cannot_hold_do_not_stop_a_trade(ledger: PostgresLedger) -> None:
    message = a_message(message_id="nul \0", headers={"odd": "\ud800", "bytes": b"\xff", "number": 1.5})

    admission = await ledger.admit(an_arrival(message=message))

    assert admission.admittance is Admittance.NEW
    (stored,) = await ledger.open_executions()
    assert stored.message.message_id == "nul \N{REPLACEMENT CHARACTER}"


async def test_a_replay_header_that_points_nowhere_is_an_ordinary_delivery(ledger: PostgresLedger) -> None:
    unknown = await ledger.admit(an_arrival(message=a_message(headers={"replay-id": str(uuid4())})))
    nonsense = await ledger.admit(an_arrival(message=a_message(headers={"replay-id": "x"})))

    assert (unknown.admittance, nonsense.admittance) == (Admittance.NEW, Admittance.REPEAT)
    assert not unknown.execution.stale_allowed


async def _fill(ledger: PostgresLedger, execution: Execution) -> Execution:
    for step in (written_ahead, accepted):
        execution = await ledger.record(step(execution))
    execution = await ledger.record(filled(execution, 9001))
    assert execution.state is State.FILLED
    return execution


async def _count(database: Connection, table: str) -> int:
    cursor = await database.execute(f"select count(*) as n from ledger.{table}")  # noqa: S608 - a table of ours
    row = await cursor.fetchone()
    return row["n"] if row else 0
