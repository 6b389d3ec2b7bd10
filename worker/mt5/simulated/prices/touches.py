"""When a price first reaches a level: what triggers pending orders, stop losses and take profits."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

from worker.mt5.simulated.behaviours import Feed
from worker.mt5.simulated.prices.prices import ladder, lower_rung
from worker.mt5.simulated.prices.walk import LEVELS, PERIODS, TICK_MS, bounds, deviation
from worker.mt5.simulated.symbols import Symbol

_SAME = 1e-6  # of a tick: how far a level may be off the tick size and still mean it


def first_touch(  # noqa: PLR0913, PLR0917 - a level, a direction and a window: nothing of it can be left out
    symbol: Symbol,
    side: int,
    level: float,
    rising: bool,  # noqa: FBT001 - always given by name or from a variable of that name
    after_msc: int,
    until_msc: int,
    opened_utc_msc: int,
) -> int | None:
    """
    Return the time of the first tick after one moment, up to another, whose price is at or beyond a level.

    `side` is that of `Quote.touch`: 0 the ask, 1 the bid. At or above the level when `rising`, else at or below it.
    All times are UTC milliseconds; None when no tick of the window is there, and for a feed that does not tick.
    """
    if symbol.behaviour.feed in (Feed.SILENT, Feed.FROZEN):
        return None
    search = _Search(symbol, _lower_rung_at(symbol, side, level, rising), rising, opened_utc_msc)
    tick = search.first(LEVELS[-1], after_msc // TICK_MS + 1, until_msc // TICK_MS + 1)
    return None if tick is None else tick * TICK_MS


def _lower_rung_at(symbol: Symbol, side: int, level: float, rising: bool) -> int:  # noqa: FBT001 - as above
    """Return where the lower side of the market is when this side is just at or beyond the level."""
    rung = level / symbol.instrument.tick_size
    steps = ladder(symbol)
    return (ceil(rung - _SAME) if rising else floor(rung + _SAME)) - (steps.low if side else steps.high)


@dataclass(frozen=True, slots=True)
class _Search:
    """Branch and bound: an interval is opened only if the walk's bounds allow the level to be reached within it."""

    symbol: Symbol
    rung: int
    rising: bool
    opened_utc_msc: int

    def first(self, level: int, begin: int, end: int) -> int | None:
        """Return the first tick from `begin` to before `end` at or beyond the level, by intervals of one period."""
        period = PERIODS[level]
        for block in range(begin - begin % period, end, period):
            if not self._may_reach(level, block):
                continue
            window = max(begin, block), min(end, block + period)
            tick = self.first(level - 1, *window) if level else self._scan(*window)
            if tick is not None:
                return tick
        return None

    def _may_reach(self, level: int, block: int) -> bool:
        low, high = bounds(self.symbol.instrument, level, block)
        return self._is_beyond(high if self.rising else low)

    def _scan(self, begin: int, end: int) -> int | None:
        instrument = self.symbol.instrument
        return next((tick for tick in range(begin, end) if self._is_beyond(deviation(instrument, tick))), None)

    def _is_beyond(self, height: float) -> bool:
        rung = lower_rung(self.symbol, height, self.opened_utc_msc)
        return rung >= self.rung if self.rising else rung <= self.rung
