"""
The market: for every symbol a quote that is a pure function of the time, the same in every process.

A tick every 100 ms, always. Nothing is stored, so an order that is due at a certain moment gets the price of that
moment, whenever it is looked at. A book opens at the instruments' base prices and the market walks on from there.
"""

from __future__ import annotations

from functools import cache, lru_cache
from math import sqrt
from typing import NamedTuple

from worker.mt5.simulated.behaviours import Feed
from worker.mt5.simulated.prices.walk import TICK_MS, deviation
from worker.mt5.simulated.symbols import Instrument, Symbol

FROZEN_BEFORE_OPENING_MS = 30 * 60 * 1000  # a frozen feed's last tick is this much older than the book
DEPOSIT_CURRENCY = "USD"


class Quote(NamedTuple):
    """A bid and an ask, with the time of their tick in UTC milliseconds."""

    bid: float
    ask: float
    utc_msc: int

    def touch(self, order_type: int) -> float:
        """Return the price at which an order of this type is filled: kinds of order buy and sell in turn."""
        return self.bid if order_type % 2 else self.ask

    def moved(self, distance: float, instrument: Instrument) -> Quote:
        """Return the same quote at another price level."""
        bid, ask = (instrument.rounded(price + distance) for price in (self.bid, self.ask))
        return Quote(bid, ask, self.utc_msc)


class Ladder(NamedTuple):
    """
    The prices of a symbol as whole numbers of its tick size, which compare exactly.

    A price is `rung * points / scale`: one correctly rounded division, so it is the double nearest to the decimal.
    """

    points: int  # of a tick
    scale: int  # points in 1.0
    spread: int  # rungs
    low: int  # rungs from the market's lower side to the bid: 0 unless the feed is crossed
    high: int  # rungs from the market's lower side to the ask

    def price(self, rung: int) -> float:
        """Return the price of a rung."""
        return rung * self.points / self.scale


@cache
def ladder(symbol: Symbol) -> Ladder:
    """Return the ladder of a symbol's prices."""
    instrument = symbol.instrument
    pips = symbol.behaviour.spread_pips or instrument.spread_pips
    spread = round(pips * instrument.pip / instrument.tick_size)
    scale = 10**instrument.digits
    low, high = (spread, 0) if symbol.behaviour.feed is Feed.CROSSED else (0, spread)
    return Ladder(round(instrument.tick_size * scale), scale, spread, low, high)


@lru_cache(maxsize=256)
def quote(symbol: Symbol, utc_msc: int, opened_utc_msc: int) -> Quote | None:
    """Return what the feed of a symbol shows at a time; None when it shows nothing. The book opened at `opened`."""
    last = last_tick(symbol, utc_msc, opened_utc_msc)
    if last is None:
        return None
    steps = ladder(symbol)
    rung = rung_at(symbol, last, opened_utc_msc)
    return Quote(steps.price(rung + steps.low), steps.price(rung + steps.high), last * TICK_MS)


def last_tick(symbol: Symbol, utc_msc: int, opened_utc_msc: int) -> int | None:
    """Return which tick (100 ms since 1970) is a feed's last one at a time; None when it shows nothing."""
    feed = symbol.behaviour.feed
    if feed is Feed.SILENT:
        return None
    return (opened_utc_msc - FROZEN_BEFORE_OPENING_MS if feed is Feed.FROZEN else utc_msc) // TICK_MS


def mid(instrument: Instrument, utc_msc: int, opened_utc_msc: int) -> float:
    """Return the middle of the market, before it is rounded to a tick."""
    return _mid(instrument, deviation(instrument, utc_msc // TICK_MS), opened_utc_msc)


@lru_cache(maxsize=1024)  # a quote and the day's extremes are made of the same ticks
def rung_at(symbol: Symbol, tick: int, opened_utc_msc: int) -> int:
    """Return the lower side of the market at a tick (100 ms since 1970)."""
    return lower_rung(symbol, deviation(symbol.instrument, tick), opened_utc_msc)


def lower_rung(symbol: Symbol, height: float, opened_utc_msc: int) -> int:
    """Return the lower side of the market when the walk is at a height; it never falls while the height rises."""
    instrument = symbol.instrument
    half_spread = ladder(symbol).spread * instrument.tick_size / 2
    return round((_mid(instrument, height, opened_utc_msc) - half_spread) / instrument.tick_size)


def _mid(instrument: Instrument, height: float, opened_utc_msc: int) -> float:
    """
    Return the base price moved by what the walk has moved since the opening.

    `m + sqrt(1 + m * m)` is 1 at 0, grows like 1 + m, is never negative, and its inverse belongs to -m. Unlike the
    exponential function it is rounded in the same way everywhere.
    """
    move = height - height_at(instrument, opened_utc_msc)
    return instrument.price * (move + sqrt(1.0 + move * move))


@lru_cache(maxsize=256)
def height_at(instrument: Instrument, opened_utc_msc: int) -> float:
    """Return the walk's height when a book opened."""
    return deviation(instrument, opened_utc_msc // TICK_MS)
