"""Why the server refuses a request before it does anything: the first check that fails gives the return code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.account import standing
from worker.mt5.simulated.behaviours import Feed
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.margin import order_margin
from worker.mt5.simulated.structs import Struct, TradePosition
from worker.mt5.simulated.symbols import FILLING_FOK, FILLING_IOC, SYMBOLS, Symbol

ACCEPTABLE = 0
FILLING_FLAGS = {mt5.ORDER_FILLING_FOK: FILLING_FOK, mt5.ORDER_FILLING_IOC: FILLING_IOC}
OFFERED_FILLINGS = FILLING_FOK | FILLING_IOC
_SIDES = (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL)
_STEP_NOISE = 1e-6  # in steps: a float that is a whole number of steps but for its own representation


@dataclass(frozen=True, slots=True)
class Asked:
    """A market order as it is asked for, at the desk of the moment."""

    desk: Desk
    request: Struct
    symbol: Symbol

    @property
    def touch(self) -> float:
        """Return the price at which it would be filled; there is one once the feed has been checked."""
        return self.desk.touch(self.symbol, self.request.type)


def environment(desk: Desk) -> int:
    """Tell why nothing at all can be traded just now."""
    if not desk.meta.trade_allowed:
        return mt5.TRADE_RETCODE_CLIENT_DISABLES_AT
    return ACCEPTABLE if desk.meta.connected else mt5.TRADE_RETCODE_CONNECTION


def refusal(desk: Desk, request: Struct) -> int:
    """
    Return the code with which a market order is refused, 0 when it is acceptable.

    Stops, and every action but the market order and the removal of an order, are not simulated: they are refused as
    invalid requests (10013), never ignored.
    """
    symbol = SYMBOLS.get(request.symbol)
    unsupported = request.action != mt5.TRADE_ACTION_DEAL or request.type not in _SIDES or request.sl or request.tp
    if symbol is None or unsupported:
        return environment(desk) or mt5.TRADE_RETCODE_INVALID
    asked = Asked(desk, request, symbol)
    return environment(desk) or next(filter(None, (check(asked) for check in _CHECKS)), ACCEPTABLE)


def _trade_mode(asked: Asked) -> int:
    mode = asked.symbol.behaviour.trade_mode
    if mode == mt5.SYMBOL_TRADE_MODE_DISABLED:
        return mt5.TRADE_RETCODE_TRADE_DISABLED
    if mode == mt5.SYMBOL_TRADE_MODE_CLOSEONLY and not asked.request.position:
        return mt5.TRADE_RETCODE_CLOSE_ONLY
    return ACCEPTABLE


def _open_hours(asked: Asked) -> int:
    return mt5.TRADE_RETCODE_MARKET_CLOSED if asked.symbol.behaviour.market_closed else ACCEPTABLE


def _volume(asked: Asked) -> int:
    instrument, volume = asked.symbol.instrument, asked.request.volume
    if not instrument.volume_min <= volume <= instrument.volume_max:  # NaN is in no range
        return mt5.TRADE_RETCODE_INVALID_VOLUME
    steps = volume / instrument.volume_step
    return ACCEPTABLE if abs(steps - round(steps)) < _STEP_NOISE else mt5.TRADE_RETCODE_INVALID_VOLUME


def _volume_limit(asked: Asked) -> int:
    limit = asked.symbol.instrument.volume_limit
    if not limit:
        return ACCEPTABLE
    standing_volume = asked.desk.book.value(
        "SELECT coalesce((SELECT volume FROM exposure WHERE symbol = :symbol AND type = :type), 0)"
        " + coalesce((SELECT sum(volume_current) FROM orders"
        "             WHERE time_done_msc = 0 AND symbol = :symbol AND type = :type), 0)",
        {"symbol": asked.symbol.name, "type": asked.request.type},
    )
    within = standing_volume + asked.request.volume <= limit + _STEP_NOISE
    return ACCEPTABLE if within else mt5.TRADE_RETCODE_LIMIT_VOLUME


def _filling(asked: Asked) -> int:
    flag = FILLING_FLAGS.get(asked.request.type_filling, 0)
    return ACCEPTABLE if flag & OFFERED_FILLINGS else mt5.TRADE_RETCODE_INVALID_FILL


def _position(asked: Asked) -> int:
    request = asked.request
    if not request.position:
        return ACCEPTABLE
    found = asked.desk.book.select(TradePosition, "ticket = ?", (request.position,))
    if not found:
        return mt5.TRADE_RETCODE_POSITION_CLOSED
    if found[0].symbol != request.symbol or found[0].type == request.type:
        return mt5.TRADE_RETCODE_INVALID
    return ACCEPTABLE if request.volume <= found[0].volume else mt5.TRADE_RETCODE_INVALID_CLOSE_VOLUME


def _quotes(asked: Asked) -> int:
    return ACCEPTABLE if asked.symbol.behaviour.feed is Feed.LIVE else mt5.TRADE_RETCODE_PRICE_OFF


def _price(asked: Asked) -> int:
    """Compare with the touch; a request without a price takes whatever the market gives."""
    request = asked.request
    if not request.price:
        return ACCEPTABLE
    difference = asked.touch - request.price
    worse = (-difference if request.type else difference) / asked.symbol.instrument.point
    return mt5.TRADE_RETCODE_REQUOTE if round(worse, 3) > request.deviation else ACCEPTABLE


def _margin(asked: Asked) -> int:
    desk, request = asked.desk, asked.request
    if request.position:
        return ACCEPTABLE
    needed = order_margin(desk, asked.symbol, request.volume, asked.touch)
    free = standing(desk).free_margin
    return ACCEPTABLE if needed <= free else mt5.TRADE_RETCODE_NO_MONEY


_CHECKS: tuple[Callable[[Asked], int], ...] = (
    _trade_mode,
    _open_hours,
    _volume,
    _volume_limit,
    _filling,
    _position,
    _quotes,
    _price,
    _margin,
)
