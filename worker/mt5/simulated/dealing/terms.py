"""What a pending order or a position is to stand at, and how long an order is to stand."""

from __future__ import annotations

from typing import NamedTuple

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.dealing.kinds import STOP_LIMITS
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.structs import Struct
from worker.mt5.simulated.symbols import Instrument

DAY_SECONDS = 86_400
LATEST_SECONDS = 0xFFFF_FFFF  # the terminal keeps an expiration in 32 bits


class OrderTerms(NamedTuple):
    """Prices with the symbol's digits, 0 where there is none; `expiration` in seconds of the server's clock."""

    price: float
    stoplimit: float
    sl: float
    tp: float
    type_time: int
    expiration: int


def asked_for(desk: Desk, instrument: Instrument, request: Struct, order_type: int) -> OrderTerms:
    """Read what a request asks for an order of a type; what it does not tell is 0, whatever stood there before."""
    price, stoplimit, sl, tp = (
        round(level, instrument.digits) for level in (request.price, request.stoplimit, request.sl, request.tp)
    )
    if order_type not in STOP_LIMITS:
        stoplimit = 0.0
    return OrderTerms(price, stoplimit, sl, tp, request.type_time, _expiration(desk, request))


def standing_at(order: Struct) -> OrderTerms:
    """Return what an order stands at."""
    return OrderTerms(
        order.price_open, order.price_stoplimit, order.sl, order.tp, order.type_time, order.time_expiration
    )


def ends_at(terms: OrderTerms) -> int | None:
    """Return when an order of these terms ends, in seconds of the server's clock; None: it stands until cancelled."""
    if terms.type_time == mt5.ORDER_TIME_GTC:
        return None
    if terms.type_time == mt5.ORDER_TIME_SPECIFIED:
        return terms.expiration
    return terms.expiration - terms.expiration % DAY_SECONDS + DAY_SECONDS


def _expiration(desk: Desk, request: Struct) -> int:
    """Return what `time_expiration` shows: for an order of the day, the beginning of that day."""
    if request.type_time == mt5.ORDER_TIME_GTC:
        return 0
    if request.type_time == mt5.ORDER_TIME_DAY:
        now = desk.server_msc // 1000
        return now - now % DAY_SECONDS
    return int(request.expiration)
