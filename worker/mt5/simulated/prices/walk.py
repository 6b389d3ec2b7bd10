"""
The random walk behind every price: how far a market has moved, as a pure function of the time.

It is a sum of octaves of noise: every octave has a random height at each whole period and glides smoothly from one to
the next. An octave's amplitude grows with the root of its period, which is what makes the sum look like a random walk
on every scale from half a second to years, although nothing is stored: each height is a hash of its place in time.

Two of its properties carry everything else. Within its period an octave is monotone, and it never leaves its
amplitude: so the extremes of a whole interval can be bounded without looking at its ticks.
"""

from __future__ import annotations

from functools import cache, lru_cache
from math import sqrt
from typing import NamedTuple
from zlib import crc32

from worker.mt5.simulated.symbols import Instrument

TICK_MS = 100
TICKS_A_SECOND = 1000 // TICK_MS
MINUTE = 60 * TICKS_A_SECOND
DAY = 1440 * MINUTE
# In ticks, each a multiple of the one before: 0.5, 2.5, 10 seconds, 1, 6, 30 minutes, 2, 12 hours, 2 to 512 days.
PERIODS = (
    5,
    25,
    100,
    MINUTE,
    6 * MINUTE,
    30 * MINUTE,
    DAY // 12,
    DAY // 2,
    *(days * DAY for days in (2, 8, 32, 128, 512)),
)
LEVELS = range(len(PERIODS))
GOLDEN, FIRST_FACTOR, SECOND_FACTOR = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # splitmix64
_SIXTY_FOUR_BITS = (1 << 64) - 1
_HEIGHT_BITS = 53
HEIGHT_UNIT = 2.0 ** (1 - _HEIGHT_BITS)
HEIGHT_SHIFT = 64 - _HEIGHT_BITS
_TYPICAL = 1.14  # scales the amplitudes so that the standard deviation of a day's change is the volatility
_CALM_PIPS = 0.75


class Octave(NamedTuple):
    """Noise of one period (ticks); the amplitude is a share of the price."""

    seed: int
    period: int
    amplitude: float


@cache
def octaves(instrument: Instrument) -> tuple[Octave, ...]:
    """Return the octaves of an instrument's walk, shortest period first."""
    return tuple(
        Octave(seed_of(f"{instrument.name}/{level}"), period, _amplitude(instrument, period))
        for level, period in enumerate(PERIODS)
    )


@cache
def finer(instrument: Instrument, level: int) -> float:
    """Return how far all octaves shorter than a level's can be from zero together."""
    return sum(octave.amplitude for octave in octaves(instrument)[:level]) + 1e-12  # room for the last bit of floats


def seed_of(name: str) -> int:
    """Return the seed of a noise; those of different names do not overlap for billions of places."""
    return crc32(name.encode()) << 32


def deviation(instrument: Instrument, tick: int) -> float:
    """Return the walk's height at a tick (100 ms since 1970): a difference of two of them is a relative move."""
    total = 0.0
    for seed, period, amplitude in octaves(instrument):
        index, offset = divmod(tick, period)
        left, rise = _segment(seed, index)
        total += amplitude * (left + rise * _glide(offset / period))
    return total


def bounds(instrument: Instrument, level: int, tick: int) -> tuple[float, float]:
    """Return what the walk's height cannot leave during the level's period that begins at a tick."""
    high = finer(instrument, level)
    low = -high
    for seed, period, amplitude in octaves(instrument)[level:]:
        index, offset = divmod(tick, period)
        left, rise = _segment(seed, index)
        first = amplitude * (left + rise * _glide(offset / period))
        last = amplitude * (left + rise * _glide((offset + PERIODS[level]) / period))
        low += min(first, last)
        high += max(first, last)
    return low, high


def _amplitude(instrument: Instrument, period: int) -> float:
    """
    Return an octave's amplitude: what the volatility asks for, but calm in the short run.

    Between a question and the order that follows from it lie seconds, and limits on slippage are in pips: whatever
    the volatility of a day, no octave may contribute more than about a pip to the move of a minute.
    """
    calm = max(sqrt(period / MINUTE), period / MINUTE) * _CALM_PIPS * instrument.pip / instrument.price
    return min(_TYPICAL * instrument.volatility * sqrt(period / DAY), calm)


def _glide(x: float) -> float:
    """Return how much of its rise a segment has behind it at a part of its period: smoothly from 0 to 1."""
    return x * x * (3.0 - 2.0 * x)


@lru_cache(maxsize=4096)
def _segment(seed: int, index: int) -> tuple[float, float]:
    left = noise(seed, index)
    return left, noise(seed, index + 1) - left


def noise(seed: int, index: int) -> float:
    """Return a random number from -1 to 1: splitmix64 of a place, which `series` computes just the same."""
    z = (seed + index) * GOLDEN & _SIXTY_FOUR_BITS
    z = (z ^ z >> 30) * FIRST_FACTOR & _SIXTY_FOUR_BITS
    z = (z ^ z >> 27) * SECOND_FACTOR & _SIXTY_FOUR_BITS
    return ((z ^ z >> 31) >> HEIGHT_SHIFT) * HEIGHT_UNIT - 1.0
