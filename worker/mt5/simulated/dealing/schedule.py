"""
What happens later: due times in the book, not timers in a process.

Whoever calls the broker next applies what has become due, in order, each at its own time and price. Nothing is lost
when the process that placed the order is gone, and nobody reads the book before what is due has been applied.

What waits for a price is due as well, when the market next has to be looked at: the price is a function of the time,
so the moment it will be touched is known beforehand. Nothing that waits costs anything until its moment has come.

Anybody may write into it from outside: a `deal` executes `lots` of an order, open or cancelled, one deal at a time.
"""

from __future__ import annotations

from typing import Any

from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.structs import Struct

FILL = "fill"
DEAL = "deal"
REVEAL = "reveal"
LOOK = "look"
GUARD = "guard"
EXPIRE = "expire"


def later(desk: Desk, delay_ms: int, event: str, order: Struct) -> None:
    """Write down that something will happen to an order, `delay_ms` after the desk's moment."""
    due(desk, desk.utc_msc + delay_ms, event, order.ticket)


def due(desk: Desk, utc_msc: int, event: str, ticket: int) -> None:
    """Write down when (UTC ms) something will happen to the order or the position with a ticket."""
    desk.book.note("INSERT INTO schedule (due_utc_msc, event, order_ticket) VALUES (?, ?, ?)", (utc_msc, event, ticket))


def forget(desk: Desk, event: str, order: Struct) -> None:
    """Take back what was to happen to an order."""
    desk.book.note("DELETE FROM schedule WHERE event = ? AND order_ticket = ?", (event, order.ticket))


def is_anything_due(desk: Desk) -> bool:
    """Tell whether something waited to be applied when the desk was opened."""
    first = desk.meta.due_utc_msc
    return first is not None and first <= desk.utc_msc


def take_next(desk: Desk) -> tuple[Any, ...] | None:
    """
    Take out what is due first: its moment (UTC ms), its event, the ticket and the lots; None when nothing is.

    Of what is due in one moment the oldest ticket comes first, and what waits for a price last: when that was written
    down depends on how far ahead the market was looked through.
    """
    rows = desk.book.rows(
        "SELECT id, due_utc_msc, event, order_ticket, lots FROM schedule WHERE due_utc_msc <= ? "
        "ORDER BY due_utc_msc, order_ticket, event IN (?, ?), id LIMIT 1",
        (desk.utc_msc, LOOK, GUARD),
    )
    if not rows:
        return None
    desk.book.note("DELETE FROM schedule WHERE id = ?", rows[0][:1])
    return rows[0][1:]
