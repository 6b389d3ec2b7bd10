"""A commit without an answer: the ledger finds out what became of it before it answers anyone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import Proxy
from tests.faults.wire_formats import POSTGRES_MOMENTS, Moment
from tests.fixtures.chain import first_fault
from tests.integration.ledger.stories import RealClock, a_message, a_trade, an_arrival, rejected
from worker.ledger.audit import AuditRow
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger
from worker.ports import Admittance

pytestmark = pytest.mark.services


@pytest.fixture
async def wire_and_ledger(ledger_url: str) -> AsyncIterator[tuple[Proxy, PostgresLedger]]:
    with Proxy(ledger_url) as wire:
        ledger = await PostgresLedger.open(wire.url, account="main", worker_id="host:1", clock=RealClock())
        await ledger.lead()
        yield wire, ledger
        await ledger.close()


@pytest.mark.parametrize("moment", POSTGRES_MOMENTS, ids=str)
async def test_an_admission_whose_commit_is_lost_is_answered_as_what_it_was(
    wire_and_ledger: tuple[Proxy, PostgresLedger], database: Connection, moment: Moment
) -> None:
    wire, ledger = wire_and_ledger

    wire.cut_at(moment)
    admissions = await asyncio.gather(*(ledger.admit(an_arrival(a_trade(f"RPM-{n}"))) for n in range(20)))

    assert wire.fired == {moment: 1}
    assert [admission.admittance for admission in admissions] == [Admittance.NEW] * 20
    assert await ledger.open_executions() == [admission.execution for admission in admissions]
    await _nothing_twice(database, executions=20, received=20)


@pytest.mark.parametrize("moment", POSTGRES_MOMENTS, ids=str)
async def test_a_confirmation_whose_commit_is_lost_is_published_once(
    wire_and_ledger: tuple[Proxy, PostgresLedger], database: Connection, moment: Moment
) -> None:
    wire, ledger = wire_and_ledger
    execution = (await ledger.admit(an_arrival(message=a_message(reply_to="desk")))).execution

    wire.cut_at(moment)
    settled = await ledger.record(rejected(execution))

    assert wire.fired == {moment: 1}
    assert await ledger.find_by_token(settled.token) == settled
    assert [row.message.kind.value for row in await ledger.outbox.pending(10)] == ["confirmation", "reply"]
    await _nothing_twice(database, executions=1, received=1)


async def test_a_caller_that_gives_up_does_not_undo_what_it_asked_for(ledger: PostgresLedger) -> None:
    impatient = asyncio.create_task(ledger.admit(an_arrival()))
    await asyncio.sleep(0)  # it has asked
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient

    again = await ledger.admit(an_arrival())

    assert again.admittance is Admittance.REPEAT


async def _nothing_twice(database: Connection, *, executions: int, received: int) -> None:
    cursor = await database.execute("select count(*) as n from ledger.executions")
    assert await cursor.fetchone() == {"n": executions}
    cursor = await database.execute("select * from ledger.audit_events order by sequence")
    rows = [AuditRow(**row) for row in await cursor.fetchall()]
    assert first_fault(rows) is None
    assert sum(row.kind == "received" for row in rows) == received
