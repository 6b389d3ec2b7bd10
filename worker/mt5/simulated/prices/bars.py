"""
Bars: opening, highest, lowest and closing bid of an interval, exactly as its ticks have them.

A day has 864,000 ticks, and yet nothing is estimated: the walk's bounds tell which parts of a bar may hold its
highest or lowest price, and only those are looked at more closely. Every timeframe is computed from the ticks in
this way, so a bar is the sum of the smaller ones within it.
"""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import NDArray

from worker.mt5.simulated.prices import timeframes
from worker.mt5.simulated.prices.prices import ladder
from worker.mt5.simulated.prices.series import Tape, Whole, bid_rungs, bids, blocks, prices
from worker.mt5.simulated.prices.walk import LEVELS, PERIODS, TICKS_A_SECOND

RATE = np.dtype(
    [
        *(("time", "<i8"), ("open", "<f8"), ("high", "<f8"), ("low", "<f8"), ("close", "<f8")),
        *(("tick_volume", "<u8"), ("spread", "<i4"), ("real_volume", "<u8")),
    ]
)
_AT_ONCE = 2048  # so much fits into the processor's cache


def bars(tape: Tape, timeframe: int, first: int, end: int) -> NDArray[np.void]:
    """Return the bars from one number of the timeframe to before another, which must have ticks."""
    pieces = [_bars(tape, timeframe, begin, min(begin + _AT_ONCE, end)) for begin in range(first, end, _AT_ONCE)]
    return np.concatenate([np.zeros(0, RATE), *pieces])


def _bars(tape: Tape, timeframe: int, first: int, end: int) -> NDArray[np.void]:
    opens = timeframes.openings(timeframe, first, end + 1)
    limits = np.minimum((opens - tape.offset) * TICKS_A_SECOND, tape.end)
    begins, ends = limits[:-1], limits[1:]
    highest, lowest = _extremes(tape, _level(timeframe, tape.offset), begins, ends)
    steps = ladder(tape.symbol)
    rates = np.zeros(end - first, RATE)
    rates["time"] = opens[:-1]
    rates["open"] = prices(tape, bids(tape, begins))
    rates["high"] = prices(tape, highest)
    rates["low"] = prices(tape, lowest)
    rates["close"] = prices(tape, bids(tape, ends - 1))
    rates["tick_volume"] = ends - begins
    rates["spread"] = (steps.high - steps.low) * steps.points
    return rates


def _level(timeframe: int, offset: int) -> int:
    """Return the longest period of which all bars of the timeframe are made up, wherever the server's day begins."""
    common = gcd(timeframes.common_length(timeframe), offset) * TICKS_A_SECOND
    return max(level for level in LEVELS if common % PERIODS[level] == 0)


def _extremes(tape: Tape, level: int, begins: Whole, ends: Whole) -> tuple[Whole, Whole]:
    """Return the highest and the lowest bid from each beginning to before its end, as rungs."""
    highest = np.full(begins.shape, np.iinfo(np.int64).min)
    lowest = np.full(begins.shape, np.iinfo(np.int64).max)
    starts, bar = _cut(begins, ends, PERIODS[level])
    for finer in reversed(LEVELS[: level + 1]):
        known = blocks(tape.symbol.instrument, finer, starts)
        at, low, high = (bid_rungs(tape, height) for height in known)
        np.maximum.at(highest, bar, at)
        np.minimum.at(lowest, bar, at)
        promising = (high > highest[bar]) | (low < lowest[bar])
        starts, bar = starts[promising], bar[promising]
        block_ends = np.minimum(starts + PERIODS[finer], ends[bar])
        starts, parent = _cut(starts, block_ends, PERIODS[finer - 1] if finer else 1)
        bar = bar[parent]
    at = bids(tape, starts)
    np.maximum.at(highest, bar, at)
    np.minimum.at(lowest, bar, at)
    return highest, lowest


def _cut(begins: Whole, ends: Whole, period: int) -> tuple[Whole, Whole]:
    """Cut intervals into pieces of a period: return where each piece begins, and the number of its interval."""
    counts = -(-(ends - begins) // period)
    owner = np.repeat(np.arange(begins.size), counts)
    within = np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return begins[owner] + within * period, owner
