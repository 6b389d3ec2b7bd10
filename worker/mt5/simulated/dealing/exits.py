"""
Stop loss and take profit, and the exits that the server makes by itself when the market reaches them.

Whoever changes a position's stops, the book itself notes that it is to be guarded: see the triggers of its schema.
"""

from __future__ import annotations

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.dealing import levels, schedule
from worker.mt5.simulated.dealing.fills import fill
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.structs import Struct
from worker.mt5.simulated.symbols import SYMBOLS


def set_stops(desk: Desk, position: Struct, sl: float, tp: float) -> None:
    """Give an open position other stops; 0 is none."""
    now = desk.server_msc
    desk.book.amend(position, sl=sl, tp=tp, time_update=now // 1000, time_update_msc=now)


def guard(desk: Desk, position: Struct) -> None:
    """Close a position if the market is at its stop loss or take profit, else write down when to look again."""
    symbol = SYMBOLS[position.symbol]
    stops = (
        (levels.stop_loss(position.type, position.sl), mt5.ORDER_REASON_SL, "sl"),
        (levels.take_profit(position.type, position.tp), mt5.ORDER_REASON_TP, "tp"),
    )
    given = [stop for stop in stops if stop[0].price]
    for level, reason, word in given:
        if level.is_reached(desk, symbol):
            close_out(desk, position, reason, f"[{word} {level.price:.{symbol.instrument.digits}f}]")
            return
    schedule.due(desk, levels.next_look(desk, symbol, [level for level, *_ in given]), schedule.GUARD, position.ticket)


def close_out(desk: Desk, position: Struct, reason: int, comment: str) -> None:
    """
    Close a whole position by a market order of the server's own (`reason`: ORDER_REASON_SL, _TP or _SO).

    No behaviour of the symbol delays or splits it: they are about what a client sends.
    """
    order = desk.enter(
        SYMBOLS[position.symbol],
        type=1 - position.type,
        magic=position.magic,
        position_id=position.ticket,
        reason=reason,
        volume_initial=position.volume,
        volume_current=position.volume,
        comment=comment,
    )
    fill(desk, order)
