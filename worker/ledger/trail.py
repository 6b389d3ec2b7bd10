"""Reading the audit trail page by page: no transaction stays open, however long the trail is or its reader takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from worker.domain.errors import NotFound
from worker.ledger.audit import AuditRow, Chain, Fault, Witness
from worker.ledger.encoding import Row
from worker.ledger.operators import Operator
from worker.ledger.statements import sql
from worker.ports import Anchor

PAGE = 2000  # events
_BEFORE_ALL = -(2**63)  # an added event may have any number

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an account's chain turned out to be: `head` is the last event that holds."""

    account: str
    head: Anchor
    witnesses: int  # subscribers' copies that it was held against
    fault: Fault | None


async def chains(desk: Operator, account: str | None = None) -> Sequence[str]:
    """Return the accounts that have a chain: all, or the one that is named. Raises NotFound."""
    cursor = await desk.connection.execute(sql("audit_chains"))
    names = [row["account"] for row in await cursor.fetchall()]
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
    chain, ends = Chain(account, held), await _ends(desk, account)
    fault: Fault | None = None
    async for row in _events(desk, account, ends["last"]):
        fault = chain.follow(row)
        if fault is not None:
            break
        on_progress(row.sequence, ends["last"])
    fault = fault or chain.end(Anchor(ends["head_sequence"], ends["head_hash"]))
    return Verdict(account, chain.head, len(held), fault)


async def events(
    desk: Operator, account: str, since: datetime | None, until: datetime | None
) -> AsyncIterator[AuditRow]:
    """Yield the events of since <= time < until, as they are stored, in the order of the chain."""
    last = (await _ends(desk, account))["last"]
    async for row in _events(desk, account, last, since=_as_stored(since), until=_as_stored(until)):
        yield row


async def _events(desk: Operator, account: str, last: int, **window: str | None) -> AsyncIterator[AuditRow]:
    values = {"account": account, "last": last, "limit": PAGE, "since": None, "until": None, **window}
    after = _BEFORE_ALL
    await desk.connection.execute(sql("walk_along_the_index"))
    while True:
        cursor = await desk.connection.execute(sql("audit_page"), {**values, "after": after})
        rows = [AuditRow(**row) for row in await cursor.fetchall()]
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        after = rows[-1].sequence


async def _ends(desk: Operator, account: str) -> Row:
    cursor = await desk.connection.execute(sql("audit_ends"), {"account": account})
    [ends] = await cursor.fetchall()
    return ends


def _as_stored(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")
