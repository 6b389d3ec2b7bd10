"""What commands change: each in one transaction that locks the account's row and says in the trail who did it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import errors

from worker.domain.errors import LedgerUnavailable, NotFound, Refused
from worker.ledger.connection import Connection, connected_for_a_person, warnings_of
from worker.ledger.halting import halt_account
from worker.ledger.page import Page
from worker.ledger.schema import check_on
from worker.ledger.statements import sql
from worker.ledger.transaction import transaction
from worker.ledger.view import AccountRow, lock_account
from worker.ports import Clock, Event

CHUNK = 1000  # confirmations a transaction: short enough not to keep the worker waiting


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator's connection to the ledger."""

    connection: Connection
    clock: Clock
    warnings: Sequence[str] = ()  # of the server, as they come


@asynccontextmanager
async def operator(url: str, clock: Clock) -> AsyncIterator[Operator]:
    """Connect for the length of a command. Raises LedgerUnavailable or SchemaMismatch with a sentence."""
    async with connected_for_a_person(url, "mt5-worker operator") as connection:
        try:
            await check_on(connection)
            yield Operator(connection, clock, warnings_of(connection))
        except errors.InsufficientPrivilege as error:
            raise Refused(
                f"{error.diag.message_primary}: this database user needs the role mt5_operator; nothing was changed"
            ) from None


@asynccontextmanager
async def locked(desk: Operator, account: str) -> AsyncIterator[tuple[AccountRow, Page]]:
    """
    Lock an account; what is put on the page is written when the block ends.

    Raises NotFound, and LedgerUnavailable with a warning when it cannot be known whether the change stands.
    """
    is_written = False
    try:
        async with transaction(desk.connection, "operator"):
            row = await lock_account(desk.connection, account)
            if row is None:
                raise NotFound(await _who_there_is(desk, account))
            page = Page(account, row.head, desk.clock)
            yield row, page
            await page.write(desk.connection)
            is_written = True
    except psycopg.OperationalError as error:
        raise _in_doubt(str(error)) if is_written else error from None
    if desk.warnings:
        raise _in_doubt("; ".join(desk.warnings))


async def halt(desk: Operator, account: str, *, reason: str, by: str) -> None:
    """Halt an account: from this commit on nothing new is sent. A second halt replaces the reason of the first."""
    async with locked(desk, account) as (row, page):
        halt_account(page, row, reason=reason, by=by)


async def resume(desk: Operator, account: str, *, reason: str, by: str) -> bool:
    """Let trading go on; False when the account was not halted."""
    async with locked(desk, account) as (row, page):
        if not row.halted:
            return False
        page.append(Event("resumed", {"reason": reason, "halt": row.halt}, actor=by))
        await desk.connection.execute(sql("lift_halt"), {"account": account})
    return True


async def confirmations_made(desk: Operator, account: str, since: datetime, until: datetime) -> int:
    """Return how many confirmations were made in since <= time < until: what `republish` would queue."""
    values = {"account": account, "since": since, "until": until}
    cursor = await desk.connection.execute(sql("count_confirmations"), values)
    row = await cursor.fetchone()
    return int(row["count"]) if row else 0


async def republish(desk: Operator, account: str, since: datetime, until: datetime, *, by: str) -> int:
    """Queue every confirmation made in since <= time < until again, byte for byte; returns how many."""
    total = 0
    place = {"created_at": since, "execution_id": None, "version": 0}
    while True:
        async with locked(desk, account) as (_, page):
            values = {"account": account, "until": until, "limit": CHUNK, "now": desk.clock.now(), **place}
            cursor = await desk.connection.execute(sql("republish_confirmations"), values)
            done = await cursor.fetchone()
            if done is None or not done["count"]:
                return total
            total += done.pop("count")
            place = done
            page.append(Event("republished", {"from": since, "to": until, "so_far": total}, actor=by))


def _in_doubt(why: str) -> LedgerUnavailable:
    return LedgerUnavailable(
        f"PostgreSQL did not confirm the change ({' '.join(why.split())}): it may stand or not. Look before you try "
        "again; what stands already is not done twice."
    )


async def _who_there_is(desk: Operator, account: str) -> str:
    cursor = await desk.connection.execute(sql("all_accounts"))
    names = ", ".join(row["account"] for row in await cursor.fetchall())
    return f"the ledger has no account {account}: " + (f"it has {names}" if names else "no worker has run yet")
