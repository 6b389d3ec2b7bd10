"""Everything a worker writes for an account, one of each kind, and the traces that it leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from tests.fixtures.chain import first_fault
from tests.integration.ledger.stories import (
    a_letter,
    a_message,
    a_refusal,
    accepted,
    an_arrival,
    failed,
    filled,
    rejected,
    written_ahead,
)
from worker.domain.execution import Execution
from worker.domain.message import PublishResult
from worker.ledger.audit import AuditRow
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger
from worker.ports import Orphan

LETTER = a_letter()

Doing = Callable[[PostgresLedger], Awaitable[Any]]
Preparation = Callable[[PostgresLedger], Awaitable[Doing]]


async def admission(_ledger: PostgresLedger) -> Doing:
    return lambda ledger: ledger.admit(an_arrival(message=a_message(reply_to="desk")))


async def refusal(_ledger: PostgresLedger) -> Doing:
    refused = a_refusal()
    return lambda ledger: ledger.refuse(refused)


async def write_ahead(ledger: PostgresLedger) -> Doing:
    change = written_ahead(await a_new_execution(ledger))
    return lambda ledger: ledger.record(change)


async def fill(ledger: PostgresLedger) -> Doing:
    execution = await ledger.record(written_ahead(await a_new_execution(ledger)))
    change = filled(await ledger.record(accepted(execution)), 9001)
    return lambda ledger: ledger.record(change)


async def failure(ledger: PostgresLedger) -> Doing:
    change = failed(await ledger.record(written_ahead(await a_new_execution(ledger))))
    return lambda ledger: ledger.record(change)


async def mark(ledger: PostgresLedger) -> Doing:
    await ledger.record(rejected(await a_new_execution(ledger)))
    results = {row.id: PublishResult.CONFIRMED for row in await ledger.outbox.pending(10)}
    return lambda ledger: ledger.outbox.mark(results)


async def take_in(_ledger: PostgresLedger) -> Doing:
    refused = a_refusal()
    return lambda ledger: ledger.take_in(replace(LETTER, message=refused.message), refused)


async def orphans(_ledger: PostgresLedger) -> Doing:
    return lambda ledger: ledger.report_orphans([Orphan(1 << 42 | 1, 7001, "EURUSD")])


async def binding(_ledger: PostgresLedger) -> Doing:
    return lambda ledger: ledger.lease.bind("simulated", "Simulated-1", 1001)


async def release(ledger: PostgresLedger) -> Doing:
    await a_new_execution(ledger)
    return lambda ledger: ledger.lease.release()


PREPARATIONS = [
    admission, refusal, write_ahead, fill, failure, mark, take_in, orphans, binding, release,
]  # fmt: skip


async def a_new_execution(ledger: PostgresLedger) -> Execution:
    return (await ledger.admit(an_arrival(message=a_message(reply_to="desk")))).execution


async def traces_in(database: Connection) -> dict[str, Any]:
    """Return everything that must not be there twice, or not at all, and does not differ by chance."""
    traces: dict[str, Any] = {}
    for table in ("attempts", "deals", "confirmations", "refusals", "dead_letters", "replays", "orphans", "namespaces"):
        cursor = await database.execute(f"select count(*) as n from ledger.{table}")  # noqa: S608 - tables of ours
        traces[table] = (await cursor.fetchall())[0]["n"]
    cursor = await database.execute("select state, revision, version from ledger.executions order by received_at")
    traces["executions"] = await cursor.fetchall()
    cursor = await database.execute("select kind from ledger.outbox order by id")
    traces["outbox"] = await cursor.fetchall()
    cursor = await database.execute("select halted, halt_reason, server, lease_holder from ledger.accounts")
    traces["account"] = (await cursor.fetchall())[0]
    cursor = await database.execute("select * from ledger.audit_events where account = 'main' order by sequence")
    trail = [AuditRow(**row) for row in await cursor.fetchall()]
    assert first_fault(trail) is None
    traces["events"] = [row.kind for row in trail]
    return traces
