"""
The market: for every instrument a price that is a pure function of the time, the same in every process.

A tick every 100 ms, moving within 2 pips around a fixed price: two slow waves and a little noise. Nothing is stored,
so an order that is due at a certain moment gets the price of that moment, whenever it is looked at.
"""

from __future__ import annotations

from functools import lru_cache
from math import sin
from typing import NamedTuple
from zlib import crc32

from worker.mt5.simulated.behaviours import Feed
from worker.mt5.simulated.symbols import BASE, Instrument, Symbol

TICK_MS = 100
FROZEN_BEFORE_OPENING_MS = 30 * 60 * 1000  # a frozen feed's last tick is this much older than the book
DEPOSIT_CURRENCY = "USD"


class Quote(NamedTuple):
    """A bid and an ask, with the time of their tick in UTC milliseconds."""

    bid: float
    ask: float
    utc_msc: int

    def touch(self, order_type: int) -> float:
        """Return the price at which an order of this type (0 buy, 1 sell) is filled."""
        return self.bid if order_type else self.ask

    def moved(self, distance: float, instrument: Instrument) -> Quote:
        """Return the same quote at another price level."""
        bid, ask = (instrument.rounded(price + distance) for price in (self.bid, self.ask))
        return Quote(bid, ask, self.utc_msc)


@lru_cache(maxsize=256)
def quote(symbol: Symbol, utc_msc: int, opened_utc_msc: int) -> Quote | None:
    """Return what the feed of a symbol shows at a time; None when it shows nothing. The book opened at `opened`."""
    behaviour, instrument = symbol.behaviour, symbol.instrument
    if behaviour.feed is Feed.SILENT:
        return None
    if behaviour.feed is Feed.FROZEN:
        utc_msc = opened_utc_msc - FROZEN_BEFORE_OPENING_MS
    pips = behaviour.spread_pips or instrument.spread_pips
    bid = instrument.rounded(mid(instrument, utc_msc) - pips / 2 * instrument.pip)
    ask = instrument.rounded(bid + pips * instrument.pip)
    low_high = (ask, bid) if behaviour.feed is Feed.CROSSED else (bid, ask)
    return Quote(*low_high, utc_msc - utc_msc % TICK_MS)


def mid(instrument: Instrument, utc_msc: int) -> float:
    """Return the middle of the market, before it is rounded to a tick."""
    return instrument.price + _wave(crc32(instrument.name.encode()), utc_msc // TICK_MS) * instrument.pip


def usd_rate(currency: str, utc_msc: int) -> float:
    """Return what one unit of a profit currency is worth in the account's currency."""
    if currency == DEPOSIT_CURRENCY:
        return 1.0
    return 1.0 / mid(BASE[DEPOSIT_CURRENCY + currency], utc_msc)


def _wave(seed: int, tick: int) -> float:
    seconds = tick * TICK_MS / 1000
    noise = ((tick * 2_654_435_761 ^ seed) & 0xFFFF) / 0x8000 - 1
    return 1.2 * sin(seconds / 47 + seed) + 0.5 * sin(seconds / 5.3 + seed) + 0.3 * noise
