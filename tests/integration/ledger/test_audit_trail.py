"""The trail can only grow, holds together under concurrent writers, and shows where somebody has touched it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from tests.fixtures.chain import first_fault
from tests.integration.ledger.stories import RealClock, a_trade, an_arrival, rejected, written_ahead
from worker.domain.errors import HaltedAtCommit
from worker.ledger import operators
from worker.ledger.audit import AuditRow
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import halt, operator, resume

pytestmark = pytest.mark.services


async def test_the_chain_holds_while_a_worker_and_an_operator_write_at_the_same_time(
    ledger: PostgresLedger, ledger_url: str, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operators, "SENT_WITHIN", timedelta(0))  # nobody answers here: a halt need not wait for it

    async def trade(number: int) -> None:
        execution = (await ledger.admit(an_arrival(a_trade(f"RPM-{number}")))).execution
        try:
            await ledger.record(written_ahead(execution))
        except HaltedAtCommit:
            await ledger.record(rejected(execution))

    async def operate() -> None:
        async with operator(ledger_url, RealClock()) as desk:
            for number in range(10):
                await halt(desk, "main", reason=f"test {number}", by="ann")
                await resume(desk, "main", reason="again", by="ann")

    await asyncio.gather(operate(), *(trade(number) for number in range(200)))

    rows = await _chain(database)
    assert first_fault(rows) is None
    assert {row.actor for row in rows} == {"worker", "ann"}
    assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
    cursor = await database.execute("select audit_sequence, audit_hash from ledger.accounts")
    head = await cursor.fetchone()
    assert head is not None
    assert (head["audit_sequence"], head["audit_hash"]) == (rows[-1].sequence, rows[-1].hash)


@pytest.mark.parametrize("column", ["at", "actor", "kind", "execution_id", "payload", "hash", "previous_hash"])
async def test_a_changed_column_is_found_at_its_row(ledger: PostgresLedger, database: Connection, column: str) -> None:
    for number in range(3):
        await ledger.admit(an_arrival(a_trade(f"RPM-{number}")))

    # Given somebody with the owner's rights who switches the trigger off
    await database.execute("alter table ledger.audit_events disable trigger append_only")
    await database.execute(f"update ledger.audit_events set {column} = {column} || ' ' where sequence = 3")  # noqa: S608 - ours

    fault = first_fault(await _chain(database))
    assert fault is not None
    assert fault.sequence == 3


async def test_a_removed_event_is_found(ledger: PostgresLedger, database: Connection) -> None:
    for number in range(3):
        await ledger.admit(an_arrival(a_trade(f"RPM-{number}")))
    rows = await _chain(database)

    fault = first_fault([row for row in rows if row.sequence != 3])

    assert fault is not None
    assert (fault.sequence, fault.problem) == (3, "event 3 is missing: the next one is event 4")


@pytest.mark.parametrize("change", ["update ledger.audit_events set kind = 'x'", "delete from ledger.audit_events"])
async def test_nobody_rewrites_the_trail_not_even_its_owner(
    ledger: PostgresLedger, database: Connection, change: str
) -> None:
    await ledger.admit(an_arrival())

    with pytest.raises(psycopg.DatabaseError, match="append-only"):
        await database.execute(change)
    with pytest.raises(psycopg.DatabaseError, match="append-only: truncate"):
        await database.execute("truncate ledger.audit_events")


@pytest.mark.parametrize(
    "change",
    [
        "update ledger.audit_events set kind = 'x'",
        "delete from ledger.audit_events",
        "truncate ledger.audit_events",
        "alter table ledger.audit_events disable trigger append_only",
        "delete from ledger.executions",
        "update ledger.confirmations set body = ''",
        "update ledger.transitions set to_state = 'filled'",
    ],
)
async def test_a_worker_has_no_right_to_rewrite_history(
    ledger: PostgresLedger, database: Connection, change: str
) -> None:
    await ledger.admit(an_arrival())
    await database.execute("set role mt5_worker")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await database.execute(change)


async def _chain(database: Connection) -> list[AuditRow]:
    cursor = await database.execute("select * from ledger.audit_events where account = 'main' order by sequence")
    return [AuditRow(**row) for row in await cursor.fetchall()]
