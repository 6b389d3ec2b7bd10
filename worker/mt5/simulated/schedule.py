"""
What happens later: due times in the book, not timers in a process.

Whoever calls the broker next applies what has become due, in order, each at its own time and price. Nothing is lost
when the process that placed the order is gone, and nobody reads the book before what is due has been applied.

Anybody may write into it from outside: a `deal` executes `lots` of an order, open or cancelled, one deal at a time.
"""

from __future__ import annotations

from collections.abc import Callable

from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.fills import fill, fill_some
from worker.mt5.simulated.structs import Struct, TradeOrder

FILL = "fill"
DEAL = "deal"
REVEAL = "reveal"


def later(desk: Desk, delay_ms: int, event: str, order: Struct) -> None:
    """Write down that something will happen to an order, `delay_ms` after the desk's moment."""
    desk.book.change(
        "INSERT INTO schedule (due_utc_msc, event, order_ticket) VALUES (?, ?, ?)",
        (desk.utc_msc + delay_ms, event, order.ticket),
    )


def forget(desk: Desk, event: str, order: Struct) -> None:
    """Take back what was to happen to an order."""
    desk.book.change("DELETE FROM schedule WHERE event = ? AND order_ticket = ?", (event, order.ticket))


def is_anything_due(desk: Desk) -> bool:
    """Tell whether something waits to be applied: one look at an index."""
    return desk.book.value("SELECT 1 FROM schedule WHERE due_utc_msc <= ? LIMIT 1", (desk.utc_msc,)) is not None


def apply_due(desk: Desk) -> bool:
    """Do everything whose time has come, and tell whether there was anything; the caller holds the transaction."""
    due = desk.book.rows(
        "SELECT id, due_utc_msc, event, order_ticket, lots FROM schedule WHERE due_utc_msc <= ? "
        "ORDER BY due_utc_msc, id",
        (desk.utc_msc,),
    )
    for number, utc_msc, event, ticket, lots in due:
        (order,) = desk.book.select(TradeOrder, "ticket = ?", (ticket,))
        _EVENTS[event](desk.at(utc_msc), order, lots)
        desk.book.change("DELETE FROM schedule WHERE id = ?", (number,))
    return bool(due)


def _fill(desk: Desk, order: Struct, _lots: float | None) -> None:
    if not order.time_done_msc:  # nobody has ended it meanwhile
        fill(desk, order)


def _reveal(_desk: Desk, _order: Struct, _lots: float | None) -> None:
    """Nothing to do: look-ups leave out what the schedule still holds."""


_EVENTS: dict[str, Callable[[Desk, Struct, float | None], None]] = {FILL: _fill, DEAL: fill_some, REVEAL: _reveal}
