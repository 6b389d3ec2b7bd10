"""
The prices at which something waits for the market, and how near the market is to them.

Buying is at the ask and selling at the bid, for a pending order as for the order that closes a position: a long
position's stops are watched on the bid, a short one's on the ask (MetaTrader 5 help, "General Concept").
"""

from __future__ import annotations

from typing import NamedTuple

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.dealing.kinds import LIMITS, limit_after
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.money.valuation import side_of
from worker.mt5.simulated.prices.prices import Quote
from worker.mt5.simulated.prices.touches import first_touch
from worker.mt5.simulated.structs import Struct
from worker.mt5.simulated.symbols import Instrument, Symbol

# How far ahead the market is looked through in one go, by spans: what is near is found without a look at what is far.
FORESIGHT_MS = (3_600_000, 86_400_000, 30 * 86_400_000)


class Level(NamedTuple):
    """A price on one side of the market (0 ask, 1 bid), to be reached from below or from above."""

    side: int
    price: float
    rising: bool

    def distance(self, quote: Quote, instrument: Instrument) -> int:
        """Return how many points the market has still to go; 0 or less when it is there or beyond."""
        gap = self.price - quote.touch(self.side)
        return round((gap if self.rising else -gap) / instrument.point)

    def is_reached(self, desk: Desk, symbol: Symbol) -> bool:
        """Tell whether the market is open, and there or beyond, at the desk's moment."""
        quote = desk.quote(symbol)
        return quote is not None and not desk.weekend(symbol) and self.distance(quote, symbol.instrument) <= 0


def of_order(order_type: int, price: float) -> Level:
    """Return where a pending order is triggered: a limit by a price as good, a stop by one as bad, as its own."""
    side = side_of(order_type)
    return Level(side, price, rising=(side == mt5.ORDER_TYPE_SELL) == (order_type in LIMITS))


def of_stoplimit(order_type: int, price: float) -> Level:
    """Return where the limit order is executed that a stop-limit order turns into."""
    return of_order(limit_after(order_type), price)


def stop_loss(position_type: int, price: float) -> Level:
    """Return where a position is closed at a loss."""
    return Level(1 - position_type, price, rising=position_type == mt5.POSITION_TYPE_SELL)


def take_profit(position_type: int, price: float) -> Level:
    """Return where a position is closed with its profit."""
    return Level(1 - position_type, price, rising=position_type == mt5.POSITION_TYPE_BUY)


def stops(position_type: int, sl: float, tp: float) -> list[Level]:
    """Return the stop loss and the take profit, as far as there are any."""
    return [level(position_type, price) for level, price in ((stop_loss, sl), (take_profit, tp)) if price]


def of_position(position: Struct) -> list[Level]:
    """Return where an open position is closed by the server."""
    return stops(position.type, position.sl, position.tp)


def next_look(desk: Desk, symbol: Symbol, levels: list[Level]) -> int:
    """Return the next moment (UTC ms) at which one of the levels may be touched, if the market is open then."""
    closed = desk.weekend(symbol)
    if closed:
        return closed.end
    after = desk.utc_msc
    for span in FORESIGHT_MS:
        touched, end = None, desk.utc_msc + span
        for level in levels:
            found = first_touch(symbol, *level, after, touched or end, desk.meta.opened_utc_msc)
            touched = found or touched
        if touched:
            return touched
        after = end
    return after
