"""
Pending orders: they wait for a price, and are executed, turned into limits, changed, or expire.

A triggered order is executed at the market of that moment, which for a limit is its price or better. It then meets
its symbol's behaviour, as a market order does when it is sent.
"""

from __future__ import annotations

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.behaviours import Fill
from worker.mt5.simulated.dealing import levels, schedule
from worker.mt5.simulated.dealing.fills import Filled, fill
from worker.mt5.simulated.dealing.kinds import STOP_LIMITS, limit_after
from worker.mt5.simulated.dealing.terms import OrderTerms, ends_at
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.money.account import affords
from worker.mt5.simulated.money.valuation import Holding, side_of
from worker.mt5.simulated.structs import Struct, TradeOrder
from worker.mt5.simulated.symbols import SYMBOLS, Symbol


def place(desk: Desk, symbol: Symbol, request: Struct, terms: OrderTerms) -> Struct:
    """Write a pending order that waits from this moment on."""
    order = desk.accept(symbol, request, **_columns(terms))
    _wait(desk, order, terms)
    return order


def change(desk: Desk, order: Struct, terms: OrderTerms) -> None:
    """Give a pending order other terms; it waits anew."""
    desk.book.amend(order, **_columns(terms))
    schedule.forget(desk, schedule.LOOK, order)
    schedule.forget(desk, schedule.EXPIRE, order)
    _wait(desk, order, terms)


def look(desk: Desk, order: Struct) -> None:
    """Trigger a waiting order if the market is at its price, else write down when to look again."""
    symbol = SYMBOLS[order.symbol]
    level = levels.of_order(order.type, order.price_open)
    if not level.is_reached(desk, symbol):
        schedule.due(desk, levels.next_look(desk, symbol, [level]), schedule.LOOK, order.ticket)
    elif order.type in STOP_LIMITS:
        look(desk, _as_limit(desk, order))
    elif _is_affordable(desk, symbol, order):
        execute(desk, symbol, order)
    else:
        desk.close(order, mt5.ORDER_STATE_REJECTED, order.volume_current, order.position_id)


def execute(desk: Desk, symbol: Symbol, order: Struct) -> Filled | None:
    """Fill an order as its symbol's behaviour says: None when not now."""
    behaviour = symbol.behaviour
    if behaviour.fill is Fill.LATER:
        if behaviour.fills_after_ms is not None:
            schedule.later(desk, behaviour.fills_after_ms, schedule.FILL, order)
        return None
    if behaviour.visible_after_ms:
        schedule.later(desk, behaviour.visible_after_ms, schedule.REVEAL, order)
    return fill(desk, order)


def expire(desk: Desk, order: Struct) -> None:
    """End an order whose time is over."""
    schedule.forget(desk, schedule.LOOK, order)
    desk.close(order, mt5.ORDER_STATE_EXPIRED, order.volume_current, order.position_id)


def _wait(desk: Desk, order: Struct, terms: OrderTerms) -> None:
    schedule.later(desk, 0, schedule.LOOK, order)
    end = ends_at(terms)
    if end is not None:
        schedule.due(desk, (end - desk.meta.server_offset_seconds) * 1000, schedule.EXPIRE, order.ticket)


def _as_limit(desk: Desk, order: Struct) -> Struct:
    """Turn a stop-limit order whose stop price was reached into its limit order, which need not be filled whole."""
    changes = {
        "type": limit_after(order.type),
        "price_open": order.price_stoplimit,
        "type_filling": mt5.ORDER_FILLING_RETURN,
    }
    desk.book.amend(order, **changes)
    return TradeOrder((order._asdict() | changes).values())


def _is_affordable(desk: Desk, symbol: Symbol, order: Struct) -> bool:
    volume, price = order.volume_current, desk.touch(symbol, order.type)
    return affords(desk, symbol, Holding(side_of(order.type), volume, volume * price))


def _columns(terms: OrderTerms) -> dict[str, float | int]:
    return {
        "price_open": terms.price,
        "price_stoplimit": terms.stoplimit,
        "sl": terms.sl,
        "tp": terms.tp,
        "type_time": terms.type_time,
        "time_expiration": terms.expiration,
    }
