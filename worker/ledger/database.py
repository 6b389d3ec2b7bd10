"""
Recognising the database.

The promise of executing once rests on there being one ledger. A database that was restored from a backup, or a standby
that was promoted without having received everything, shows in its system identifier or timeline: then the account is
halted until an operator has looked, and tokens come from a new namespace.
"""

from __future__ import annotations

import secrets

import structlog
from psycopg.rows import DictRow

from worker.domain.token import NAMESPACE_BITS
from worker.ledger.connection import Connection
from worker.ledger.page import Page
from worker.ledger.statements import sql
from worker.ledger.tenure import Tenure
from worker.ledger.transaction import transaction
from worker.ledger.view import account_from
from worker.ports import Clock, Event

_log = structlog.get_logger()

_HALTED_BY = "worker"


async def recognise(connection: Connection, tenure: Tenure, clock: Clock) -> None:
    """Compare the database with the one the account was last written in; also learns the token namespaces."""
    async with transaction(connection, "recognise"):
        cursor = await connection.execute(sql("lock_account"), {"account": tenure.account})
        row = await cursor.fetchone()
        account = tenure.see(account_from(row) if row else None)
        cursor = await connection.execute(sql("database_identity"))
        present = await cursor.fetchone()
        if row is None or present is None:
            raise tenure.lost()
        before = {name: row[name] for name in present}
        if before != present:
            page = Page(tenure.account, account.head, clock)
            await _note_the_change(connection, page, before, present)
            await page.write(connection)
            tenure.halt = await _halt_now(connection, tenure.account)
        await _learn_namespaces(connection, tenure, present)


async def _note_the_change(connection: Connection, page: Page, before: DictRow, present: DictRow) -> None:
    await connection.execute(sql("remember_database_identity"), {"account": page.account, **present})
    page.append(Event("database_recognised", {"before": before, "now": present}))
    if before["system_identifier"] is None:
        return
    reason = (
        f"the database is another copy than before (timeline {before['timeline']} -> {present['timeline']}, system "
        f"{before['system_identifier']} -> {present['system_identifier']}): compare broker and ledger, then resume"
    )
    page.append(Event("alert", {"alert": "database_changed", "detail": reason}))
    page.append(Event("halted", {"reason": reason}))
    await connection.execute(sql("set_halt"), {"account": page.account, "reason": reason, "by": _HALTED_BY})
    _log.error("the account is halted", account=page.account, reason=reason)


async def _halt_now(connection: Connection, account: str) -> str | None:
    cursor = await connection.execute(sql("lock_account"), {"account": account})
    row = await cursor.fetchone()
    return account_from(row).halt if row else None


async def _learn_namespaces(connection: Connection, tenure: Tenure, present: DictRow) -> None:
    while True:
        cursor = await connection.execute(sql("all_namespaces"))
        rows = await cursor.fetchall()
        tenure.namespaces = frozenset(row["namespace"] for row in rows)
        mine = [row["namespace"] for row in rows if {name: row[name] for name in present} == present]
        if mine:
            tenure.namespace = mine[0]
            return
        offer = 1 + secrets.randbelow((1 << NAMESPACE_BITS) - 1)
        await connection.execute(sql("offer_namespace"), {"namespace": offer, **present})
