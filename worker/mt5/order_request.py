"""Trade requests as `order_send` takes them: floats for volumes and prices, integers for all else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from worker.domain.instrument import Instrument
from worker.domain.market import OrderRequest
from worker.domain.trade import Direction

# The package's constants; they are part of MetaTrader's protocol and do not change.
_ACTION_DEAL, _ACTION_REMOVE = 1, 8  # TRADE_ACTION_*
_TIME_GTC = 0  # ORDER_TIME_GTC
ORDER_TYPE = {Direction.LONG: 0, Direction.SHORT: 1}  # ORDER_TYPE_BUY, ORDER_TYPE_SELL
_FOK, _IOC, _RETURN = 0, 1, 2  # ORDER_FILLING_*
_FLAG_FOK, _FLAG_IOC = 1, 2  # SYMBOL_FILLING_*: flags, not the values above
_MARKET, _EXCHANGE = 2, 3  # SYMBOL_TRADE_EXECUTION_*


def fillings(instrument: Instrument) -> tuple[int, ...]:
    """
    Return the filling modes to try, the preferred first.

    Request and instant execution fill market orders whole or not at all. Elsewhere the symbol's flags tell; immediate
    or cancel comes first, because a part of an approved trade is worth more than none. RETURN is for exchanges only.
    """
    if instrument.execution_mode not in {_MARKET, _EXCHANGE}:
        return (_FOK, _IOC)
    flagged = [filling for filling, flag in ((_IOC, _FLAG_IOC), (_FOK, _FLAG_FOK)) if instrument.filling_flags & flag]
    if instrument.execution_mode == _EXCHANGE:
        flagged.append(_RETURN)
    return tuple(flagged) or (_FOK, _IOC)


def market_order(order: OrderRequest, instrument: Instrument, touch: Decimal, filling: int) -> dict[str, Any]:
    """Build the request of a market order at this touch."""
    price = instrument.round_price(touch)
    closing = {"position": order.closes} if order.closes else {}
    return {
        "action": _ACTION_DEAL,
        "symbol": order.symbol,
        "volume": float(order.lots),
        "type": ORDER_TYPE[order.direction],
        "price": float(price),
        "deviation": deviation(order, instrument, price),
        "type_filling": filling,
        "type_time": _TIME_GTC,
        "magic": order.magic,
        "comment": order.comment,
        **closing,
    }


def deviation(order: OrderRequest, instrument: Instrument, price: Decimal) -> int:
    """Return what remains between this price and the worst one allowed, in whole points, rounded down."""
    room = (order.worst_price - price) * int(order.direction) / instrument.point
    return max(0, int(room))


def removal(ticket: int, symbol: str) -> dict[str, Any]:
    """Build the request that cancels an order."""
    return {"action": _ACTION_REMOVE, "order": ticket, "symbol": symbol}
