"""Reading the audit trail page by page: no transaction stays open, however long the trail is or its reader takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from worker.domain.errors import NotFound
from worker.ledger.audit import AuditRow, Chain, Fault, Witness
from worker.ledger.encoding import Row
from worker.ledger.operators import Operator
from worker.ledger.statements import sql
from worker.ports import Anchor

PAGE = 2000  # events
PAGE_BYTES = 8 * 2**20  # of payloads: an event may hold a message of 1 MiB
_BEFORE_ALL = -(2**63)  # an added event may have any number

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an account's chain turned out to be: `head` is the last event that holds."""

    account: str
    head: Anchor
    witnesses: int  # subscribers' copies that it was held against
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events to read; None means any. Times bound when they were written: since <= time < until."""

    account: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    symbol: str | None = None  # of the trade that an event is about
    trade: str | None = None  # its trade id or execution id


ALL = Selection()


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a chain ends, and where its account's row says it does, both at one moment."""

    head: Anchor
    last: int


async def chains(desk: Operator, account: str | None = None) -> Sequence[str]:
    """Return the accounts that have a chain, in order: all, or the one that is named. Raises NotFound."""
    cursor = await desk.connection.execute(sql("audit_chains"))
    names = sorted(row["account"] for row in await cursor.fetchall())
    if account is None:
        return names
    if account not in names:
        raise NotFound(f"the ledger has no audit trail of account {account}: it has {', '.join(names) or 'none'}")
    return [account]


async def verify(
    desk: Operator, account: str, witnesses: Iterable[Witness], on_progress: Progress = lambda _done, _of: None
) -> Verdict:
    """
    Follow an account's chain as it stands at this moment; a worker and operators may go on writing.

    Progress is told as the number of the event that was reached, and of the last one.
    """
    held = list(witnesses)
    chain, ends = Chain(account, held), await chain_ends(desk, account)
    fault: Fault | None = None
    async for row in _walk(desk, account, ends.last, ALL, None):
        fault = chain.follow(row)
        if fault is not None:
            break
        on_progress(row.sequence, ends.last)
    return Verdict(account, chain.head, len(held), fault or chain.end(ends.head))


async def events(desk: Operator, account: str, ends: Ends, wanted: Selection = ALL) -> AsyncIterator[AuditRow]:
    """Yield the wanted events of an account, as they are stored, in the order of the chain. Raises NotFound."""
    ids = None if wanted.trade is None else await _executions_of(desk, wanted.trade)
    async for row in _walk(desk, account, ends.last, wanted, ids):
        yield row


async def chain_ends(desk: Operator, account: str) -> Ends:
    """Return where an account's chain ends at this moment."""
    cursor = await desk.connection.execute(sql("audit_ends"), {"account": account})
    [row] = await cursor.fetchall()
    return Ends(Anchor(row["head_sequence"], row["head_hash"]), row["last"])


async def identity(desk: Operator) -> Row:
    """Return what tells this ledger from another one."""
    cursor = await desk.connection.execute(sql("ledger_identity"))
    [row] = await cursor.fetchall()
    return row


async def _executions_of(desk: Operator, name: str) -> Sequence[str]:
    cursor = await desk.connection.execute(sql("audit_names_of_trade"), {"name": name})
    found = [row["execution_id"] for row in await cursor.fetchall()]
    if not found:
        raise NotFound(f"the ledger has no trade and no execution with the id {name}")
    return found


async def _walk(
    desk: Operator, account: str, last: int, wanted: Selection, ids: Sequence[str] | None
) -> AsyncIterator[AuditRow]:
    after = _BEFORE_ALL
    if ids is None:
        await desk.connection.execute(sql("walk_along_the_index"))
    while after < last:
        rows = await _page(desk, wanted, {"account": account, "last": last, "after": after, "ids": ids})
        for row in rows:
            is_wanted = row.pop("is_wanted")
            if is_wanted:
                yield AuditRow(**row)
        if not rows:
            return
        after = rows[-1]["sequence"]


async def _page(desk: Operator, wanted: Selection, place: dict[str, Any]) -> list[dict[str, Any]]:
    values = {
        "since": _as_stored(wanted.since),
        "until": _as_stored(wanted.until),
        "symbol": wanted.symbol,
        "limit": PAGE,
        "bytes": PAGE_BYTES,
        **place,
    }
    if place["ids"] is None:
        cursor = await desk.connection.execute(sql("audit_page"), values)
    else:
        cursor = await desk.connection.execute(sql("audit_page_of_trade"), values)
    return await cursor.fetchall()


def _as_stored(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")
