"""The kinds of orders: which are executed at once, which wait for a price, and which a symbol may refuse."""

from __future__ import annotations

from worker.mt5.simulated import constants as mt5

MARKET = (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL)
LIMITS = (mt5.ORDER_TYPE_BUY_LIMIT, mt5.ORDER_TYPE_SELL_LIMIT)
STOPS = (mt5.ORDER_TYPE_BUY_STOP, mt5.ORDER_TYPE_SELL_STOP)
STOP_LIMITS = (mt5.ORDER_TYPE_BUY_STOP_LIMIT, mt5.ORDER_TYPE_SELL_STOP_LIMIT)
PENDING = (*LIMITS, *STOPS, *STOP_LIMITS)

# SYMBOL_ORDER_*: flags of a symbol, absent from the package
MAY_SL, MAY_TP, MAY_CLOSE_BY = 16, 32, 64
MAY_BE_PLACED = (
    dict.fromkeys(MARKET, 1) | dict.fromkeys(LIMITS, 2) | dict.fromkeys(STOPS, 4) | dict.fromkeys(STOP_LIMITS, 8)
)


def limit_after(stop_limit: int) -> int:
    """Return what a stop-limit order becomes when its stop price is reached."""
    return LIMITS[STOP_LIMITS.index(stop_limit)]
