"""Everything whose time has come, in order, each at its own moment: the same whoever looks, and however late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from worker.mt5.simulated.dealing import exits, pending, schedule
from worker.mt5.simulated.dealing.fills import fill, fill_some
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.structs import Struct, TradeOrder, TradePosition


def apply_due(desk: Desk) -> bool:
    """Do everything that is due, and tell whether there was anything; the caller holds the transaction."""
    if not schedule.is_anything_due(desk):
        return False
    while (next_one := schedule.take_next(desk)) is not None:
        utc_msc, event, ticket, lots = next_one
        moment = replace(desk, meta=desk.book.meta(), utc_msc=utc_msc)
        subject = desk.book.row(_SUBJECT_OF.get(event, TradeOrder), ticket)
        if subject is not None:
            _EVENTS[event](moment, subject, lots)
    return True


def _fill(desk: Desk, order: Struct, _lots: float | None) -> None:
    if not order.time_done_msc:  # nobody has ended it meanwhile
        fill(desk, order)


def _reveal(_desk: Desk, _order: Struct, _lots: float | None) -> None:
    """Nothing to do: look-ups leave out what the schedule still holds."""


def _look(desk: Desk, order: Struct, _lots: float | None) -> None:
    if not order.time_done_msc:
        pending.look(desk, order)


def _expire(desk: Desk, order: Struct, _lots: float | None) -> None:
    if not order.time_done_msc:
        pending.expire(desk, order)


def _guard(desk: Desk, position: Struct, _lots: float | None) -> None:
    exits.guard(desk, position)


_SUBJECT_OF = {schedule.GUARD: TradePosition}
_EVENTS: dict[str, Callable[[Desk, Struct, float | None], None]] = {
    schedule.FILL: _fill,
    schedule.DEAL: fill_some,
    schedule.REVEAL: _reveal,
    schedule.LOOK: _look,
    schedule.GUARD: _guard,
    schedule.EXPIRE: _expire,
}
