"""
Listing executions, the newest first.

Most filters have no index: one more would cost every trade, and be asked for once in a while. They walk back along the
index of arrivals instead, in stretches of so many executions that no statement takes long, however large the ledger is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from worker.domain.errors import NotFound
from worker.domain.execution import OPEN, State
from worker.ledger.encoding import Row, as_row
from worker.ledger.operators import Operator
from worker.ledger.statements import sql

STRETCH = 50_000  # executions that one statement looks at
_FEW = OPEN | {State.UNRESOLVED}  # never many, and in indexes of their own


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """
    Which executions to list; None, or no states, means any.

    Times bound the arrival: since <= time < until. `text` is a trade id or an order id of RPM's, or a part of one in
    any case of letters; a whole id has only its own executions. `order` and `deal` are the broker's tickets. `after`
    names the execution that the list goes on behind.
    """

    account: str | None = None
    states: Sequence[State] = ()
    symbol: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    order: int | None = None
    deal: int | None = None
    after: UUID | None = None


@dataclass(frozen=True, slots=True)
class ExecutionLine:
    """One execution in a listing. Units of the base asset, lots, UTC; `order_id` is the broker's ticket as text."""

    execution_id: UUID
    trade_id: str
    rpm_order_id: str | None
    account: str
    symbol: str
    direction: int
    units: Decimal | None
    status: str
    version: int
    reason: str | None
    requested_lots: Decimal | None
    executed_lots: Decimal
    order_id: str | None
    received_at: datetime
    settled_at: datetime | None


async def executions(desk: Operator, wanted: ExecutionFilter, limit: int) -> Sequence[ExecutionLine]:
    """Return the newest executions that fit, newest first. Raises NotFound when the list is to go on behind nobody."""
    values = as_row(wanted) | {"states": list(wanted.states), **await _place(desk, wanted.after)}
    named = [ids async for ids in _named(desk, wanted)]
    if wanted.text and (exact := await _ids(desk, "executions_of_trade", name=wanted.text)):
        named.append(exact)
        values["text"] = None  # what merely contains the whole id of a trade is not meant
    if named:
        return await _listed(desk, values, limit, list(set(named[0]).intersection(*named[1:])))
    found: list[ExecutionLine] = []
    async for low, high in _stretches(desk, wanted):
        found += await _listed(desk, values | {"since": low, "until": high}, limit - len(found))
        if len(found) == limit:
            break
    return found


async def symbols_of_late(desk: Operator, account: str) -> Sequence[str]:
    """Return the symbols, as RPM names them, of the newest `STRETCH` trades of an account."""
    return [row["symbol"] for row in await _rows(desk, "symbols_of_late", account=account, most=STRETCH)]


async def _named(desk: Operator, wanted: ExecutionFilter) -> AsyncIterator[Sequence[UUID]]:
    """Yield for each filter that names a few executions at once, by an index or in one go, which those are."""
    if wanted.deal is not None:
        yield await _ids(desk, "executions_of_deal", deal_id=wanted.deal)
    if wanted.order is not None:
        yield await _ids(desk, "executions_of_order", ticket=wanted.order)
    if wanted.states and _FEW.issuperset(wanted.states):
        yield await _ids(desk, "executions_not_ended", account=wanted.account)


async def _listed(
    desk: Operator, values: dict[str, Any], limit: int, ids: Sequence[UUID] | None = None
) -> list[ExecutionLine]:
    rows = await _rows(desk, "list_executions", **values, ids=ids, limit=limit)
    return [ExecutionLine(**{name: row[name] for name in ExecutionLine.__dataclass_fields__}) for row in rows]


async def _stretches(desk: Operator, wanted: ExecutionFilter) -> AsyncIterator[tuple[datetime | None, datetime | None]]:
    """Yield the bounds of arrival (low <= time < high) to look between, one pair after the other; None has no bound."""
    high, values = wanted.until, {"account": wanted.account, "since": wanted.since, "stretch": STRETCH}
    while True:
        [row] = await _rows(desk, "end_of_stretch", **values, until=high)
        if row["received_at"] is None:
            yield wanted.since, high
            return
        yield row["received_at"], high
        high = row["received_at"]


async def _place(desk: Operator, execution_id: UUID | None) -> dict[str, Any]:
    if execution_id is None:
        return {"after_at": None, "after_token": None}
    rows = await _rows(desk, "place_of_execution", execution_id=execution_id)
    if not rows:
        raise NotFound(f"the ledger has no execution {execution_id} to go on behind")
    return dict(rows[0])


async def _ids(desk: Operator, statement: str, **values: Any) -> list[UUID]:
    return [row["execution_id"] for row in await _rows(desk, statement, **values)]


async def _rows(desk: Operator, statement: str, **values: Any) -> Sequence[Row]:
    # Never prepared: a plan for any filter at all would use no index for the one that is given.
    cursor = await desk.connection.execute(sql(statement), values, prepare=False)
    return await cursor.fetchall()
