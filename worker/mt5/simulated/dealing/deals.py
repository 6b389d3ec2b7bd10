"""A deal as it is booked: what an order did to a position, at which price, and what it cost or earned."""

from __future__ import annotations

from typing import NamedTuple

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.book_file import FIRST_DEAL
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.money.valuation import cents
from worker.mt5.simulated.structs import Struct, TradeDeal, named
from worker.mt5.simulated.symbols import SYMBOLS


class Effect(NamedTuple):
    """How a deal entered the position with that identifier, and the profit it realized in USD, in cents."""

    entry: int
    position_id: int
    profit: float


class Terms(NamedTuple):
    """What is dealt: 0 bought or 1 sold, lots and price."""

    type: int
    volume: float
    price: float


def book(desk: Desk, order: Struct, terms: Terms, effect: Effect) -> Struct:
    """Write a deal of an order. It costs the symbol's commission, unless it only sets two positions against another."""
    now = desk.server_msc
    row = named(
        TradeDeal,
        ticket=desk.book.next_ticket(TradeDeal, FIRST_DEAL),
        order=order.ticket,
        time=now // 1000,
        time_msc=now,
        type=terms.type,
        entry=effect.entry,
        magic=order.magic,
        position_id=effect.position_id,
        reason=order.reason,  # the reasons of orders and deals have the same numbers
        volume=terms.volume,
        price=terms.price,
        commission=0.0 if effect.entry == mt5.DEAL_ENTRY_OUT_BY else _commission(order.symbol, terms.volume),
        swap=0.0,
        profit=effect.profit,
        fee=0.0,
        symbol=order.symbol,
        comment=order.comment,
        external_id="",
    )
    desk.book.insert(row)
    return row


def _commission(symbol: str, volume: float) -> float:
    return cents(-SYMBOLS[symbol].instrument.commission * volume)
