"""
What `symbol_info` tells of the server's day so far: its first, highest and lowest prices, and the day before's last.

The same figures as those of the day's bar, but in pure Python and often: what is known of the day is kept, and only
the ticks since the last question are added to it.
"""

from __future__ import annotations

from functools import lru_cache
from heapq import heapify, heappop, heappush

from worker.mt5.simulated.prices.prices import Quote, ladder, lower_rung, rung_at
from worker.mt5.simulated.prices.walk import DAY, LEVELS, PERIODS, TICK_MS, TICKS_A_SECOND, bounds
from worker.mt5.simulated.symbols import Symbol


def today(symbol: Symbol, now: Quote, opened_utc_msc: int, offset: int) -> dict[str, float]:
    """Return the fields of the day of a quote; `offset` is how far the server's clock is ahead of UTC, in seconds."""
    tick = now.utc_msc // TICK_MS
    begin = tick - (tick + offset * TICKS_A_SECOND) % DAY
    low, high = _extremes(symbol, begin, tick, opened_utc_msc)
    first, before = (rung_at(symbol, at, opened_utc_msc) for at in (begin, begin - 1))
    steps = ladder(symbol)
    close = steps.price(before + steps.low)
    return {
        "bidhigh": steps.price(high + steps.low),
        "bidlow": steps.price(low + steps.low),
        "askhigh": steps.price(high + steps.high),
        "asklow": steps.price(low + steps.high),
        "session_open": steps.price(first + steps.low),
        "session_close": close,
        "price_change": round((now.bid / close - 1) * 100, 4),
    }


class _Day:
    """The lowest and highest lower side of the market from the day's first tick up to the last one looked at."""

    def __init__(self, symbol: Symbol, begin: int, opened_utc_msc: int) -> None:
        self._symbol, self._opened = symbol, opened_utc_msc
        self.end = begin
        self.low = self.high = rung_at(symbol, begin, opened_utc_msc)

    def extend(self, end: int) -> None:
        """Add the ticks up to before `end`."""
        if end - self.end <= PERIODS[0]:  # so few are looked at sooner than the least that they may reach
            rungs = [rung_at(self._symbol, tick, self._opened) for tick in range(self.end, end)]
            self.low, self.high = min(self.low, *rungs), max(self.high, *rungs)
        else:
            self.high = self._extreme(end, self.high, 1)
            self.low = -self._extreme(end, -self.low, -1)
        self.end = end

    def _extreme(self, end: int, best: int, sign: int) -> int:
        """Return the highest rung (of a market turned upside down if the sign is -1), most promising period first."""
        top = next(level for level in LEVELS if PERIODS[level] >= end - self.end)
        periods = self._periods(top, self.end, end, sign)
        heapify(periods)
        while periods and -periods[0][0] > best:
            _, level, begin = heappop(periods)
            window = max(begin, self.end), min(begin + PERIODS[level], end)
            if level:
                for period in self._periods(level - 1, *window, sign):
                    heappush(periods, period)
            else:
                best = max(best, *(sign * rung_at(self._symbol, tick, self._opened) for tick in range(*window)))
        return best

    def _periods(self, level: int, begin: int, end: int, sign: int) -> list[tuple[int, int, int]]:
        """Return a level's periods that overlap an interval, each after the negative of what it may reach."""
        period = PERIODS[level]
        return [
            (-self._reach(level, block, sign), level, block) for block in range(begin - begin % period, end, period)
        ]

    def _reach(self, level: int, begin: int, sign: int) -> int:
        low, high = bounds(self._symbol.instrument, level, begin)
        return sign * lower_rung(self._symbol, high if sign > 0 else low, self._opened)


def _extremes(symbol: Symbol, begin: int, last: int, opened_utc_msc: int) -> tuple[int, int]:
    day = _day(symbol, begin, opened_utc_msc)
    if last < day.end - 1:  # a question about an earlier moment than the one before
        day = _Day(symbol, begin, opened_utc_msc)
    if last >= day.end:
        day.extend(last + 1)
    return day.low, day.high


@lru_cache(maxsize=512)
def _day(symbol: Symbol, begin: int, opened_utc_msc: int) -> _Day:
    return _Day(symbol, begin, opened_utc_msc)
