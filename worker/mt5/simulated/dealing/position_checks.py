"""Why a position cannot be closed or changed in the way that is asked for."""

from __future__ import annotations

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.dealing.asked import ACCEPTABLE, Asked
from worker.mt5.simulated.dealing.kinds import MAY_CLOSE_BY


def closable(asked: Asked) -> int:
    """Require a market order that names a position to be of the other side, and not larger than what is left of it."""
    request = asked.request
    if not request.position:
        return ACCEPTABLE
    if not asked.subjects:
        return mt5.TRADE_RETCODE_POSITION_CLOSED
    (position,) = asked.subjects
    if position.symbol != request.symbol or position.type == request.type:
        return mt5.TRADE_RETCODE_INVALID
    if request.volume > position.volume:
        return mt5.TRADE_RETCODE_INVALID_CLOSE_VOLUME
    left = round(position.volume - _being_closed(asked, position.ticket), 8)
    return ACCEPTABLE if request.volume <= left else mt5.TRADE_RETCODE_CLOSE_ORDER_EXIST


def closable_by(asked: Asked) -> int:
    """Require two opposite positions of a hedging account and of one symbol, none of them being closed already."""
    one, other = asked.subjects
    fits = asked.desk.meta.hedging and one.symbol == other.symbol and one.type != other.type
    if not fits or not asked.instrument.order_mode & MAY_CLOSE_BY:
        return mt5.TRADE_RETCODE_INVALID
    being_closed = any(_being_closed(asked, position.ticket) for position in asked.subjects)
    return mt5.TRADE_RETCODE_CLOSE_ORDER_EXIST if being_closed else ACCEPTABLE


def same_symbol(asked: Asked) -> int:
    """Require the symbol, if one is given, to be the position's."""
    (position,) = asked.subjects
    return ACCEPTABLE if asked.request.symbol in ("", position.symbol) else mt5.TRADE_RETCODE_INVALID


def _being_closed(asked: Asked, ticket: int) -> float:
    """Return the lots of the open orders that are to close a position; the one that opens it may be open itself."""
    if not asked.desk.meta.hedging:
        return 0.0
    return float(
        asked.desk.book.value(
            "SELECT coalesce(sum(volume_current), 0) FROM orders "
            "WHERE position_id = ? AND ticket <> ? AND time_done_msc = 0",
            (ticket, ticket),
        )
    )
