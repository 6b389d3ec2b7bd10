"""
Recognising the database.

The promise of executing once rests on there being one ledger. A database that was restored from a backup, or a standby
that was promoted without having received everything, shows in its system identifier or timeline: then the account is
halted until an operator has looked, and tokens come from a new namespace.
"""

from __future__ import annotations

import structlog
from psycopg.rows import DictRow

from worker.ledger.connection import Connection
from worker.ledger.halting import halt_by_worker
from worker.ledger.namespaces import known_since, namespaces_of
from worker.ledger.page import Page
from worker.ledger.statements import sql
from worker.ledger.tenure import Tenure
from worker.ledger.transaction import transaction
from worker.ledger.view import AccountRow, account_from
from worker.ports import Clock, Event

_log = structlog.get_logger()


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
            await connection.execute(sql("remember_database_identity"), {"account": page.account, **present})
            tenure.halts.note(_note_the_change(page, account, before, present).halts)
            await page.write(connection)
        tenure.learn_namespaces(one.namespace for one in await namespaces_of(connection, present, clock.now()))
        tenure.known_since = await known_since(connection, tenure.account)


def _note_the_change(page: Page, account: AccountRow, before: DictRow, present: DictRow) -> AccountRow:
    """Return the account as it stands then: halted, unless it never had a database before."""
    page.append(Event("database_recognised", {"before": before, "now": present}))
    if before["system_identifier"] is None:
        return account
    changes = ", ".join(f"{name} {before[name]} -> {now}" for name, now in present.items() if before[name] != now)
    reason = (
        f"the database is another copy than before ({changes}), and may lack what was done last: compare broker and "
        "ledger, then `mt5-worker resume`"
    )
    page.append(Event("alert", {"alert": "database_changed", "detail": reason}))
    _log.error("the account is halted", account=page.account, reason=reason)
    return halt_by_worker(page, account, reason)
