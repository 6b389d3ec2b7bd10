"""What commands change: each in one transaction that locks the account's row and says in the trail who did it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import errors

from worker.domain.absence import SENT_WITHIN
from worker.domain.errors import LedgerUnavailable, NotFound, Refused
from worker.domain.halts import Halt, Halts
from worker.ledger import halting
from worker.ledger.connection import Connection, connected_for_a_person, warnings_of
from worker.ledger.halts import halts_from
from worker.ledger.page import Page
from worker.ledger.schema import check_on
from worker.ledger.statements import sql
from worker.ledger.transaction import transaction
from worker.ledger.view import AccountRow, lock_account
from worker.ports import Clock, Event

CHUNK = 1000  # confirmations a transaction: short enough not to keep the worker waiting
_GLANCE_SECONDS = 0.05


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


async def halts(desk: Operator, account: str) -> Halts:
    """Return what is halted of an account. Raises NotFound."""
    cursor = await desk.connection.execute(sql("halts_of_account"), {"account": account})
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(await _who_there_is(desk, account))
    return halts_from(row)


async def halt(  # noqa: PLR0913 - all that a halt says
    desk: Operator,
    account: str,
    *,
    reason: str,
    by: str,
    symbols: Collection[str] = (),
    hold: bool = False,
    on_begun: Callable[[], None] = lambda: None,
) -> int:
    """
    Halt an account, or only these symbols of it (RPM's names). A halt takes the place of the one before it.

    From the first commit on (then `on_begun` is called) nothing is written ahead of a send any more. What was before
    it is sent at once or not at all: the second commit, of the event `halted`, waits for that, ten seconds at most.
    Returns how many of those sends had no answer yet; they began before, and are watched to their end.
    """
    begun = desk.clock.now()
    async with locked(desk, account) as (row, page):
        after = row.halts
        for symbol in _whose(symbols):
            one = Halt(reason, by, begun, symbol, hold=hold)
            before = after.on(symbol)
            page.append(halting.event("halting", one, halted_before=None if before is None else str(before)))
            after = after.put(one)
        halting.write(page, after)
    on_begun()
    unanswered = await _sends_begun(desk, account, symbols)
    async with locked(desk, account) as (row, page):
        for one in row.halts:
            if one.at == begun:  # nobody has lifted or replaced it meanwhile
                page.append(halting.event("halted", one, begun_at=begun.isoformat(), unanswered=unanswered))
    return unanswered


async def _sends_begun(desk: Operator, account: str, symbols: Collection[str]) -> int:
    """Wait until no send that was written ahead can begin any more; returns how many are without an answer."""
    values = {"account": account, "symbols": sorted(symbols) or None}
    deadline = desk.clock.monotonic() + SENT_WITHIN.total_seconds()
    while True:
        cursor = await desk.connection.execute(sql("sends_under_way"), values)
        row = await cursor.fetchone()
        count = row["count"] if row else 0
        if not count or desk.clock.monotonic() > deadline:
            return int(count)
        await asyncio.sleep(_GLANCE_SECONDS)


async def resume(
    desk: Operator, account: str, *, reason: str, by: str, symbols: Collection[str] = ()
) -> Sequence[Halt]:
    """Lift the account's halt, or those of these symbols (RPM's names); returns what was lifted."""
    lifted: list[Halt] = []
    async with locked(desk, account) as (row, page):
        after = row.halts
        for symbol in _whose(symbols):
            one = after.on(symbol)
            if one is not None:
                page.append(Event("resumed", {"reason": reason, "symbol": symbol, "halt": str(one)}, actor=by))
                after = after.lifted(symbol)
                lifted.append(one)
        if lifted:
            halting.write(page, after)
    return lifted


def _whose(symbols: Collection[str]) -> Sequence[str | None]:
    return sorted(symbols) or [None]


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
