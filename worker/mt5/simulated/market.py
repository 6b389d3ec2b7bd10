"""The market as a book shows it at a moment: all that prices, profits and margins depend on, and nothing else."""

from __future__ import annotations

from typing import NamedTuple

from worker.mt5.simulated.hours import Weekend, weekend
from worker.mt5.simulated.prices.prices import Quote, quote
from worker.mt5.simulated.prices.walk import TICK_MS
from worker.mt5.simulated.symbols import Symbol


class Market(NamedTuple):
    """
    The moment at which a tick began (UTC milliseconds), with what the book says of its server and its account.

    Within a tick markets are equal, so what was worked out for one of them holds for the others: see `begin_of_tick`.
    """

    utc_msc: int
    opened_utc_msc: int
    server_offset_seconds: int
    open_at_weekends: int
    leverage: int

    def quote(self, symbol: Symbol) -> Quote | None:
        """Return what the symbol's feed shows."""
        closed = self.weekend(symbol)
        return quote(symbol, begin_of_tick(closed.begin - 1) if closed else self.utc_msc, self.opened_utc_msc)

    def weekend(self, symbol: Symbol) -> Weekend | None:
        """Return the weekend for which the symbol's market is closed."""
        return None if self.open_at_weekends else weekend(symbol, self.utc_msc, self.server_offset_seconds)

    def touch(self, symbol: Symbol, order_type: int) -> float:
        """Return the price at which an order of this type is filled."""
        now = self.quote(symbol)
        if now is None:
            raise ValueError(f"{symbol.name} has no quote; the checks let no order of such a symbol through")
        return now.touch(order_type)


def begin_of_tick(utc_msc: int) -> int:
    """Return when the tick of a moment began: until the next one no price changes, and no market opens or closes."""
    return utc_msc - utc_msc % TICK_MS
