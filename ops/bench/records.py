"""What the ledger tells of a desk's trades."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from ops.bench.desk import Desk

_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Sending:
    """What one terminal sent since a moment: orders, and the seconds from its first `order_send` to its last answer."""

    terminal: str
    orders: int
    sending: float  # seconds inside of `order_send`
    elapsed: float

    @property
    def share(self) -> float:
        """The share of the time in which it was sending."""
        return self.sending / self.elapsed


def accepted(desk: Desk) -> int:
    """Return how many orders are open at the broker, as far as the ledger knows."""
    (row,) = _rows(desk, "select count(*) from ledger.executions where is_open and state = 'accepted'")
    return int(row[0])


def until_accepted(desk: Desk, count: int, within: float = 300) -> None:
    """Wait until so many orders are open; raises RuntimeError when they are not within that many seconds."""
    deadline = time.monotonic() + within
    while (found := accepted(desk)) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{found} of {count} orders are open after {within:g} s")
        time.sleep(_LOOK_SECONDS)


def now(desk: Desk) -> datetime:
    """Return the database's time, from which on something is to be looked at."""
    ((moment,),) = _rows(desk, "select clock_timestamp()")
    return moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)


def sendings(desk: Desk, since: datetime) -> list[Sending]:
    """Return how each terminal spent its time on the orders that were written ahead since then."""
    rows = _rows(
        desk,
        """
        select regexp_replace(sender, '^.*:', ''), count(*), sum(answered_at - sent_at), max(answered_at) - min(sent_at)
        from ledger.attempts where written_at >= %(since)s and sent_at is not null group by 1 order by 1
        """,
        since=since,
    )
    return [Sending(name, orders, _seconds(sending), _seconds(elapsed)) for name, orders, sending, elapsed in rows]


def confirmation_delays(desk: Desk, symbols: Sequence[str], since: datetime) -> list[float]:
    """Return the seconds from the last deal, by the broker's clock, until RabbitMQ had the confirmation."""
    rows = _rows(
        desk,
        """
        select c.published_at - e.filled_at
        from ledger.executions e join ledger.confirmations c using (execution_id, version)
        where e.symbol = any(%(symbols)s) and e.received_at >= %(since)s and c.published_at is not null
        """,
        symbols=list(symbols),
        since=since,
    )
    return [_seconds(delay) for (delay,) in rows]


def _rows(desk: Desk, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(desk.database_url) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def _seconds(interval: timedelta) -> float:
    return interval.total_seconds()
