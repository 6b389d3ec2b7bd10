"""Why a request is refused before anything is done: the first check that fails gives the return code."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.behaviours import Feed
from worker.mt5.simulated.dealing import level_checks as levels
from worker.mt5.simulated.dealing import position_checks as positions
from worker.mt5.simulated.dealing.asked import ACCEPTABLE, Asked, subjects_of, symbol_of
from worker.mt5.simulated.dealing.kinds import LIMITS, MARKET, MAY_BE_PLACED, MAY_SL, MAY_TP, PENDING, STOP_LIMITS
from worker.mt5.simulated.dealing.terms import LATEST_SECONDS, ends_at
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.money.account import MOST_PENDING_ORDERS, affords
from worker.mt5.simulated.money.valuation import Holding, side_of
from worker.mt5.simulated.structs import Struct, TradeRequest
from worker.mt5.simulated.symbols import FILLING_FOK, FILLING_IOC, Instrument

FILLING_FLAGS = {mt5.ORDER_FILLING_FOK: FILLING_FOK, mt5.ORDER_FILLING_IOC: FILLING_IOC}
OFFERED_FILLINGS = FILLING_FOK | FILLING_IOC


def examine(desk: Desk, request: Struct) -> Asked | int:
    """Return what is asked for, or the code with which it is refused; nothing is ever ignored."""
    code, checks = environment(desk), _CHECKS.get(request.action)
    if code or checks is None:
        return code or mt5.TRADE_RETCODE_INVALID
    subjects = subjects_of(desk, request)
    named, gone = _NAMED.get(request.action, (0, ACCEPTABLE))
    if len(subjects) < named:
        return gone
    symbol = symbol_of(request, subjects)
    if symbol is None:
        return mt5.TRADE_RETCODE_INVALID
    asked = Asked(desk, _as_meant(request, symbol.instrument), symbol, subjects)
    return next(filter(None, (check(asked) for check in checks)), asked)


def _as_meant(request: Struct, instrument: Instrument) -> Struct:
    """Return the request with the volume that it means: from here on nobody meets a float's noise."""
    volume = instrument.meant(request.volume)
    return request if volume == request.volume else TradeRequest((request._asdict() | {"volume": volume}).values())


def environment(desk: Desk) -> int:
    """Tell why nothing at all can be traded just now."""
    if not desk.meta.trade_allowed:
        return mt5.TRADE_RETCODE_CLIENT_DISABLES_AT
    return ACCEPTABLE if desk.meta.connected else mt5.TRADE_RETCODE_CONNECTION


def _market_type(asked: Asked) -> int:
    return ACCEPTABLE if asked.type in MARKET else mt5.TRADE_RETCODE_INVALID


def _pending_type(asked: Asked) -> int:
    return ACCEPTABLE if asked.type in PENDING else mt5.TRADE_RETCODE_INVALID_ORDER


def _modifiable(asked: Asked) -> int:
    return ACCEPTABLE if asked.type in PENDING else mt5.TRADE_RETCODE_INVALID


def _order_mode(asked: Asked) -> int:
    request, modes = asked.request, asked.instrument.order_mode
    needed = MAY_BE_PLACED[asked.type] | MAY_SL * bool(request.sl) | MAY_TP * bool(request.tp)
    return ACCEPTABLE if needed & modes == needed else mt5.TRADE_RETCODE_INVALID_ORDER


def _trade_mode(asked: Asked) -> int:
    mode = asked.symbol.behaviour.trade_mode
    if mode == mt5.SYMBOL_TRADE_MODE_DISABLED:
        return mt5.TRADE_RETCODE_TRADE_DISABLED
    if mode == mt5.SYMBOL_TRADE_MODE_CLOSEONLY and not asked.subjects:
        return mt5.TRADE_RETCODE_CLOSE_ONLY
    return ACCEPTABLE


def _open_hours(asked: Asked) -> int:
    is_closed = asked.symbol.behaviour.market_closed or asked.desk.weekend(asked.symbol)
    return mt5.TRADE_RETCODE_MARKET_CLOSED if is_closed else ACCEPTABLE


def _volume(asked: Asked) -> int:
    instrument, volume = asked.instrument, asked.request.volume
    is_within = instrument.volume_min <= volume <= instrument.volume_max  # NaN is in no range
    is_tradable = is_within and volume == instrument.lots(instrument.steps(volume))
    return ACCEPTABLE if is_tradable else mt5.TRADE_RETCODE_INVALID_VOLUME


def _volume_limit(asked: Asked) -> int:
    """Add up positions and open orders of one direction; what closes a position adds nothing."""
    limit = asked.instrument.volume_limit
    if not limit or asked.subjects:
        return ACCEPTABLE
    standing_volume = asked.desk.book.value(
        "SELECT coalesce((SELECT volume FROM exposure WHERE symbol = :symbol AND type = :side), 0)"
        " + coalesce((SELECT sum(volume_current) FROM orders"
        "             WHERE time_done_msc = 0 AND symbol = :symbol AND type % 2 = :side), 0)",
        {"symbol": asked.symbol.name, "side": side_of(asked.type)},
    )
    within = round(standing_volume + asked.request.volume, 8) <= limit
    return ACCEPTABLE if within else mt5.TRADE_RETCODE_LIMIT_VOLUME


def _order_limit(asked: Asked) -> int:
    pending = asked.desk.book.value("SELECT count(*) FROM orders WHERE time_done_msc = 0 AND type BETWEEN 2 AND 7")
    return ACCEPTABLE if pending < MOST_PENDING_ORDERS else mt5.TRADE_RETCODE_LIMIT_ORDERS


def _filling(asked: Asked) -> int:
    """Fill-or-kill and immediate-or-cancel are offered; RETURN is not for the market execution of what is no limit."""
    filling = asked.request.type_filling
    if filling == mt5.ORDER_FILLING_RETURN:
        offered = not _is_market_execution(asked) or asked.type in (*LIMITS, *STOP_LIMITS)
    else:
        offered = filling in FILLING_FLAGS
    return ACCEPTABLE if offered else mt5.TRADE_RETCODE_INVALID_FILL


def _expiration(asked: Asked) -> int:
    terms, end = asked.terms, ends_at(asked.terms)
    if not asked.instrument.expiration_mode >> terms.type_time & 1:
        return mt5.TRADE_RETCODE_INVALID_EXPIRATION
    if end is None or asked.desk.server_msc < end * 1000 <= LATEST_SECONDS * 1000:
        return ACCEPTABLE
    return mt5.TRADE_RETCODE_INVALID_EXPIRATION


def _quotes(asked: Asked) -> int:
    return ACCEPTABLE if asked.symbol.behaviour.feed is Feed.LIVE else mt5.TRADE_RETCODE_PRICE_OFF


def _price(asked: Asked) -> int:
    """Compare with the touch where prices are agreed; a request without a price takes whatever the market gives."""
    request = asked.request
    if not request.price or _is_market_execution(asked):
        return ACCEPTABLE
    if not 0 < request.price < inf:  # NaN is in no range
        return mt5.TRADE_RETCODE_INVALID_PRICE
    difference = asked.touch - request.price
    worse = (-difference if request.type else difference) / asked.instrument.point
    return mt5.TRADE_RETCODE_REQUOTE if round(worse, 3) > request.deviation else ACCEPTABLE


def _margin(asked: Asked) -> int:
    volume, request = asked.request.volume, asked.request
    trade = Holding(asked.type, volume, volume * asked.touch)
    return ACCEPTABLE if affords(asked.desk, asked.symbol, trade, request.position) else mt5.TRADE_RETCODE_NO_MONEY


def _is_market_execution(asked: Asked) -> bool:
    return asked.symbol.execution == mt5.SYMBOL_TRADE_EXECUTION_MARKET


_TRADABLE = (_trade_mode, _open_hours)
_CHECKS: dict[int, tuple[Callable[[Asked], int], ...]] = {
    mt5.TRADE_ACTION_DEAL: (
        _market_type,
        *_TRADABLE,
        _order_mode,
        _volume,
        _volume_limit,
        _filling,
        positions.closable,
        _quotes,
        _price,
        levels.stops,
        levels.frozen,
        _margin,
    ),
    mt5.TRADE_ACTION_PENDING: (
        _pending_type,
        *_TRADABLE,
        _order_mode,
        _volume,
        _volume_limit,
        _order_limit,
        _filling,
        _expiration,
        _quotes,
        levels.price,
        levels.stops,
    ),
    mt5.TRADE_ACTION_SLTP: (positions.same_symbol, *_TRADABLE, _quotes, levels.no_changes, levels.frozen, levels.stops),
    mt5.TRADE_ACTION_MODIFY: (
        _modifiable,
        *_TRADABLE,
        _quotes,
        levels.no_changes,
        levels.frozen,
        _expiration,
        levels.price,
        levels.stops,
    ),
    mt5.TRADE_ACTION_REMOVE: (levels.frozen,),
    mt5.TRADE_ACTION_CLOSE_BY: (positions.closable_by, *_TRADABLE, levels.frozen),
}
_NAMED = {  # how many orders or positions a request names, and what it is told when one is gone
    mt5.TRADE_ACTION_SLTP: (1, mt5.TRADE_RETCODE_POSITION_CLOSED),
    mt5.TRADE_ACTION_MODIFY: (1, mt5.TRADE_RETCODE_INVALID),
    mt5.TRADE_ACTION_REMOVE: (1, mt5.TRADE_RETCODE_INVALID),
    mt5.TRADE_ACTION_CLOSE_BY: (2, mt5.TRADE_RETCODE_POSITION_CLOSED),
}
