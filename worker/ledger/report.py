"""What came of the trades of some days: endings, reasons, slippage, fills; as subscribers were told them last."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg import IsolationLevel

from worker.domain.errors import NotFound
from worker.ledger.connection import Connection
from worker.ledger.encoding import Row
from worker.ledger.operators import Operator
from worker.ledger.statements import sql

STATUSES = ("filled", "partially_filled", "rejected", "expired", "cancelled", "error", "unresolved")
MOST_SYMBOLS = 200  # in lines of their own: whoever may publish chooses their names
_BUCKETS = 24
_SHARE = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which trades a report is about: those first confirmed in since <= time < until; None means any."""

    since: datetime
    until: datetime
    account: str | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Slippage:
    """
    How adverse the fills of whole or partial executions were, in pips: positive is worse for us.

    Percentiles are values that occurred (nearest rank). `over_limit` is the share beyond `MAX_SLIPPAGE_PIPS`, 0 to 1.
    """

    count: int
    mean: Decimal | None
    median: Decimal | None
    p90: Decimal | None
    p99: Decimal | None
    best: Decimal | None
    worst: Decimal | None
    over_limit: Decimal | None


@dataclass(frozen=True, slots=True)
class Line:
    """The trades of a day and a symbol; without the one or the other, of all of them."""

    day: str | None  # UTC, of the first confirmation
    symbol: str | None  # `_` is unreadable; None with `is_rest` set: all but the `MOST_SYMBOLS` most frequent ones
    is_rest: bool
    executions: int
    by_status: Mapping[str, int]
    fill_rate: Decimal | None  # share that was filled, wholly or partially, 0 to 1
    requested_lots: Decimal
    executed_lots: Decimal
    slippage: Slippage
    fill_seconds_median: Decimal | None  # from receipt to the last deal, by the broker's clock
    fill_seconds_p99: Decimal | None


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why trades of a day and a symbol did not end filled."""

    day: str
    symbol: str | None  # None: all but the most frequent symbols
    status: str
    reason: str | None
    executions: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many fills had an adverse slippage from `low` to `high`, in pips."""

    low: Decimal
    high: Decimal
    fills: int


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of one moment. Without any trade there is a total of zeros and nothing else."""

    asked: Asked
    made_at: datetime
    total: Line
    by_day: Sequence[Line]
    by_symbol: Sequence[Line]
    by_day_and_symbol: Sequence[Line]
    reasons: Sequence[Reasons]
    histogram: Sequence[Bucket]


async def report(desk: Operator, asked: Asked) -> Report:
    """
    Sum up a window in PostgreSQL; what comes back has at most a line for each day and symbol.

    Raises NotFound for an unknown account.
    """
    async with _one_moment(desk.connection):
        await desk.connection.execute(sql("take_your_time"))
        values = {
            "accounts": await _accounts(desk, asked.account),
            "since": asked.since,
            "until": asked.until,
            "symbol": asked.symbol,
            "symbols": MOST_SYMBOLS,
        }
        figures = await (await desk.connection.execute(sql("report_figures"), values)).fetchall()
        reasons = await (await desk.connection.execute(sql("report_reasons"), values)).fetchall()
        lines = {of: [_line(row) for row in figures if _is_of(row) == of] for of in _GROUPINGS}
        [total] = lines[False, False]
        histogram = await _histogram(desk, total.slippage, values)
    return Report(
        asked=asked,
        made_at=desk.clock.now(),
        total=total,
        by_day=lines[True, False],
        by_symbol=lines[False, True],
        by_day_and_symbol=lines[True, True],
        reasons=[Reasons(**row) for row in reasons],
        histogram=histogram,
    )


@asynccontextmanager
async def _one_moment(connection: Connection) -> AsyncIterator[None]:
    """Let the block see the ledger as it stands now, whatever is written meanwhile, and write nothing itself."""
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    await connection.set_read_only(True)
    async with connection.transaction():
        yield
    # Not for a connection that has broken: it takes no setting any more, and is of no use to anybody
    await connection.set_isolation_level(None)
    await connection.set_read_only(None)


_GROUPINGS = [(day, symbol) for day in (False, True) for symbol in (False, True)]


async def _accounts(desk: Operator, account: str | None) -> Sequence[str]:
    cursor = await desk.connection.execute(sql("accounts_to_report"))
    names = [row["account"] for row in await cursor.fetchall()]
    if account is None:
        return names
    if account not in names:
        raise NotFound(f"the ledger has no account {account}: it has {', '.join(names) or 'none'}")
    return [account]


async def _histogram(desk: Operator, slippage: Slippage, values: Mapping[str, Any]) -> Sequence[Bucket]:
    low, high = slippage.best, slippage.worst
    if low is None or high is None:
        return []
    if low == high:
        return [Bucket(low, high, slippage.count)]
    bounds = {"low": low, "high": high, "buckets": _BUCKETS}
    rows = await (await desk.connection.execute(sql("report_histogram"), {**values, **bounds})).fetchall()
    fills = {row["bucket"]: row["fills"] for row in rows}
    width = (high - low) / _BUCKETS
    return [Bucket(low + width * step, low + width * (step + 1), fills.get(step + 1, 0)) for step in range(_BUCKETS)]


def _is_of(row: Row) -> tuple[bool, bool]:
    return row["is_of_a_day"], row["is_of_a_symbol"]


def _line(row: Row) -> Line:
    fills = row["filled"] + row["partially_filled"]
    median, p99 = row["seconds"] or (None, None)
    return Line(
        day=row["day"],
        symbol=row["symbol"],
        is_rest=row["is_of_a_symbol"] and row["symbol"] is None,
        executions=row["executions"],
        by_status={status: row[status] for status in STATUSES},
        fill_rate=_share(fills, row["executions"]),
        requested_lots=row["requested_lots"],
        executed_lots=row["executed_lots"],
        slippage=_slippage(row),
        fill_seconds_median=median,
        fill_seconds_p99=p99,
    )


def _slippage(row: Row) -> Slippage:
    median, p90, p99 = row["percentiles"] or (None, None, None)
    return Slippage(
        count=row["measured"],
        mean=row["mean"],
        median=median,
        p90=p90,
        p99=p99,
        best=row["best"],
        worst=row["worst"],
        over_limit=_share(row["exceeded"], row["measured"]),
    )


def _share(part: int, whole: int) -> Decimal | None:
    return (Decimal(part) / whole).quantize(_SHARE) if whole else None
