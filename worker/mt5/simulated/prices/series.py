"""
Many ticks at once: the walk of `walk` and the prices of `prices`, computed by NumPy to the same last bit.

Both use nothing but sums, products, quotients and square roots, in the same order; those are rounded alike
everywhere. Only what copies price history imports this module, because only that needs NumPy.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from worker.mt5.simulated.prices import walk
from worker.mt5.simulated.prices.prices import height_at, ladder
from worker.mt5.simulated.prices.walk import PERIODS, Octave, finer, octaves
from worker.mt5.simulated.symbols import Instrument, Symbol

Whole: TypeAlias = NDArray[np.int64]
Real: TypeAlias = NDArray[np.float64]


class Tape(NamedTuple):
    """A symbol's ticks in a book: how far its server's clock is ahead of UTC (seconds), and where its ticks end."""

    symbol: Symbol
    opened_utc_msc: int
    offset: int
    end: int  # the tick (UTC) after the last one


class Blocks(NamedTuple):
    """Intervals of one level's period: the walk's height at their first ticks, and what it cannot leave in them."""

    height: Real
    low: Real
    high: Real


def heights(instrument: Instrument, ticks: Whole) -> Real:
    """Return the walk's height at many ticks: `walk.deviation`."""
    total = np.zeros(ticks.shape)
    for octave in octaves(instrument):
        left, rise, offset = _segments(octave, ticks)
        total += _glided(octave, left, rise, offset)
    return total


def blocks(instrument: Instrument, level: int, ticks: Whole) -> Blocks:
    """Return what is known of the level's periods that begin at many ticks: `walk.deviation` and `walk.bounds`."""
    height = np.zeros(ticks.shape)
    high = np.full(ticks.shape, finer(instrument, level))
    low = -high
    for place, octave in enumerate(octaves(instrument)):
        left, rise, offset = _segments(octave, ticks)
        first = _glided(octave, left, rise, offset)
        height += first
        if place >= level:
            last = _glided(octave, left, rise, offset + PERIODS[level])
            low += np.minimum(first, last)
            high += np.maximum(first, last)
    return Blocks(height, low, high)


def bids(tape: Tape, ticks: Whole) -> Whole:
    """Return the bids of many ticks as rungs."""
    return bid_rungs(tape, heights(tape.symbol.instrument, ticks))


def bid_rungs(tape: Tape, height: Real) -> Whole:
    """Return the bids when the walk is at these heights, as rungs: `prices.lower_rung`."""
    instrument, steps = tape.symbol.instrument, ladder(tape.symbol)
    move = height - height_at(instrument, tape.opened_utc_msc)
    mid = instrument.price * (move + np.sqrt(1.0 + move * move))
    half_spread = steps.spread * instrument.tick_size / 2
    lower: Whole = np.rint((mid - half_spread) / instrument.tick_size).astype(np.int64)
    return lower + steps.low


def prices(tape: Tape, rungs: Whole) -> Real:
    """Return the prices of rungs: `Ladder.price`."""
    steps = ladder(tape.symbol)
    exact: Real = (rungs * steps.points) / steps.scale
    return exact


def _glided(octave: Octave, left: Real, rise: Real, offset: Whole) -> Real:
    x = offset / octave.period
    return octave.amplitude * (left + rise * (x * x * (3.0 - 2.0 * x)))


def _segments(octave: Octave, ticks: Whole) -> tuple[Real, Real, Whole]:
    """Return for each tick where its segment begins, how far it rises, and how far into it the tick is."""
    index, offset = np.divmod(ticks, octave.period)
    if not index.size:
        return np.zeros(0), np.zeros(0), offset
    first = index.min()
    span = int(index.max() - first) + 2
    if span > index.size:
        left = _noise(octave.seed, index)
        return left, _noise(octave.seed, index + 1) - left, offset
    every = _noise(octave.seed, first + np.arange(span))  # neighbours share their heights: hash each place once
    left = every[index - first]
    return left, every[index - first + 1] - left, offset


def _noise(seed: int, index: Whole) -> Real:
    """Return `walk.noise` of many places; sums and products of 64 bits overflow just as the hash wants it."""
    z = (index.astype(np.uint64) + np.uint64(seed)) * np.uint64(walk.GOLDEN)
    z = (z ^ z >> np.uint64(30)) * np.uint64(walk.FIRST_FACTOR)
    z = (z ^ z >> np.uint64(27)) * np.uint64(walk.SECOND_FACTOR)
    number: Real = ((z ^ z >> np.uint64(31)) >> np.uint64(walk.HEIGHT_SHIFT)).astype(np.float64)
    return number * walk.HEIGHT_UNIT - 1.0
