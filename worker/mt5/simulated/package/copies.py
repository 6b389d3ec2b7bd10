"""
What the terminal copies of its price history: which bars and ticks a question means.

History begins on Sunday 1 January 2012, where a day, a week and a month begin, and goes on to the present moment,
whenever the book was opened. Dates are seconds of the server's wall clock written as an epoch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.package.failures import invalid_params, no_memory
from worker.mt5.simulated.package.history import MAX_BARS
from worker.mt5.simulated.prices.bars import RATE, bars
from worker.mt5.simulated.prices.prices import last_tick
from worker.mt5.simulated.prices.series import Tape
from worker.mt5.simulated.prices.ticks import TICK, ticks
from worker.mt5.simulated.prices.timeframes import ALL, bar_of
from worker.mt5.simulated.prices.walk import TICKS_A_SECOND
from worker.mt5.simulated.symbols import Symbol

BEGIN = 1_325_376_000
_MOST_TICKS = 5_000_000  # 300 MB
_QUOTES = (mt5.COPY_TICKS_ALL, mt5.COPY_TICKS_INFO, mt5.COPY_TICKS_INFO | mt5.COPY_TICKS_TRADE)


def rates_from(desk: Desk, symbol: Symbol, timeframe: int, date: int, count: int) -> NDArray[np.void]:
    """Return so many bars that opened at a date or before, oldest first."""
    _check(timeframe, count)
    end = min(bar_of(timeframe, date), _forming(desk, symbol, timeframe)) + 1
    return _rates(desk, symbol, timeframe, end - count, end)


def rates_from_position(desk: Desk, symbol: Symbol, timeframe: int, start: int, count: int) -> NDArray[np.void]:
    """Return so many bars, oldest first, of which the newest has a position; 0 is the one that is forming."""
    _check(timeframe, count)
    if start < 0:
        raise invalid_params()
    end = _forming(desk, symbol, timeframe) - start + 1
    return _rates(desk, symbol, timeframe, end - count, end)


def rates_range(desk: Desk, symbol: Symbol, timeframe: int, first: int, last: int) -> NDArray[np.void]:
    """Return the bars that opened between two dates, both included."""
    _check(timeframe)
    end = min(bar_of(timeframe, last), _forming(desk, symbol, timeframe)) + 1
    return _rates(desk, symbol, timeframe, bar_of(timeframe, first - 1) + 1, end)


def ticks_from(desk: Desk, symbol: Symbol, date: int, count: int, flags: int) -> NDArray[np.void]:
    """Return so many ticks at a date or after, oldest first."""
    if count <= 0:
        raise invalid_params()
    first = _tick_at(desk, date)
    return _ticks(desk, symbol, first, first + count, flags)


def ticks_range(desk: Desk, symbol: Symbol, first: int, last: int, flags: int) -> NDArray[np.void]:
    """Return the ticks between two dates, both included."""
    return _ticks(desk, symbol, _tick_at(desk, first), _tick_at(desk, last) + 1, flags)


def _check(timeframe: int, count: int = 1) -> None:
    """Refuse what no terminal answers; it keeps one bar less than its limit says (seen by users of live ones)."""
    if timeframe not in ALL or not 0 < count < MAX_BARS:
        raise invalid_params()


def _rates(desk: Desk, symbol: Symbol, timeframe: int, first: int, end: int) -> NDArray[np.void]:
    first = max(first, bar_of(timeframe, BEGIN))
    if end - first >= MAX_BARS:
        raise invalid_params()
    if end <= first:
        return np.zeros(0, RATE)
    return bars(_tape(desk, symbol), timeframe, first, end)


def _ticks(desk: Desk, symbol: Symbol, first: int, end: int, flags: int) -> NDArray[np.void]:
    if flags == mt5.COPY_TICKS_TRADE:  # this market shows quotes only: there is no last price
        return np.zeros(0, TICK)
    if flags not in _QUOTES:
        raise invalid_params()
    first, end = max(first, _tick_at(desk, BEGIN)), min(end, _tape(desk, symbol).end)
    if end - first > _MOST_TICKS:
        raise no_memory()
    return ticks(_tape(desk, symbol), first, end)


def _tape(desk: Desk, symbol: Symbol) -> Tape:
    """Return a symbol's ticks up to now; those of a feed that shows nothing end where history begins."""
    opened = desk.meta.opened_utc_msc
    last = last_tick(symbol, desk.utc_msc, opened)
    end = _tick_at(desk, BEGIN) if last is None else last + 1
    return Tape(symbol, opened, desk.meta.server_offset_seconds, end)


def _forming(desk: Desk, symbol: Symbol, timeframe: int) -> int:
    """Return the number of the bar that the feed's last tick belongs to."""
    tape = _tape(desk, symbol)
    return bar_of(timeframe, (tape.end - 1) // TICKS_A_SECOND + tape.offset)


def _tick_at(desk: Desk, date: int) -> int:
    return (date - desk.meta.server_offset_seconds) * TICKS_A_SECOND
