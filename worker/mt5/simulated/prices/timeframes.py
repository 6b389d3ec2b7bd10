"""
The package's 21 timeframes: which bar a server time belongs to, and when bars open.

Bars are counted from 1970 and open at whole multiples of their length in server time, except that a week begins on
Sunday and a month has its own length. Times are seconds of the server's wall clock written as an epoch.
"""

from __future__ import annotations

import numpy as np

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.prices.series import Whole

DAY = 86_400
_WEEK = 7 * DAY
_FIRST_SUNDAY = 3 * DAY  # 1970 began on a Thursday
_MINUTES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
_HOURS = (1, 2, 3, 4, 6, 8, 12)
_LENGTHS = (
    {getattr(mt5, f"TIMEFRAME_M{count}"): count * 60 for count in _MINUTES}
    | {getattr(mt5, f"TIMEFRAME_H{count}"): count * 3600 for count in _HOURS}
    | {mt5.TIMEFRAME_D1: DAY, mt5.TIMEFRAME_W1: _WEEK}
)
ALL = frozenset(_LENGTHS) | {mt5.TIMEFRAME_MN1}


def bar_of(timeframe: int, seconds: int) -> int:
    """Return the number of the bar that a server time belongs to."""
    if timeframe == mt5.TIMEFRAME_MN1:
        return int(np.datetime64(seconds, "s").astype("datetime64[M]").astype(np.int64))
    return (seconds - _shift(timeframe)) // _LENGTHS[timeframe]


def openings(timeframe: int, first: int, end: int) -> Whole:
    """Return when the bars from one number to before another open."""
    numbers = np.arange(first, end, dtype=np.int64)
    if timeframe == mt5.TIMEFRAME_MN1:
        return numbers.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)
    return numbers * _LENGTHS[timeframe] + _shift(timeframe)


def common_length(timeframe: int) -> int:
    """Return the length in seconds of which every bar of the timeframe, and its opening, is a multiple."""
    return min(_LENGTHS.get(timeframe, DAY), DAY)


def _shift(timeframe: int) -> int:
    return _FIRST_SUNDAY if timeframe == mt5.TIMEFRAME_W1 else 0
