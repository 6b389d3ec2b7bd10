"""Ticks: every 100 ms one, each with a bid and an ask that may have changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.prices.prices import ladder
from worker.mt5.simulated.prices.series import Tape, bids, prices
from worker.mt5.simulated.prices.walk import TICK_MS

TICK = np.dtype(
    [
        *(("time", "<i8"), ("bid", "<f8"), ("ask", "<f8"), ("last", "<f8"), ("volume", "<u8")),
        *(("time_msc", "<i8"), ("flags", "<u4"), ("volume_real", "<f8")),
    ]
)
_AT_ONCE = 16_384  # so many fit into the processor's cache


def ticks(tape: Tape, first: int, end: int) -> NDArray[np.void]:
    """Return the ticks from one (100 ms since 1970, UTC) to before another."""
    found = np.zeros(max(end - first, 0), TICK)
    for place in range(0, found.size, _AT_ONCE):
        _fill(found[place : place + _AT_ONCE], tape, first + place)
    return found


def _fill(found: NDArray[np.void], tape: Tape, first: int) -> None:
    numbers = np.arange(first, first + found.size)
    rungs, steps = bids(tape, numbers), ladder(tape.symbol)
    found["bid"] = prices(tape, rungs)
    found["ask"] = prices(tape, rungs + steps.high - steps.low)
    found["time_msc"] = numbers * TICK_MS + tape.offset * 1000
    found["time"] = found["time_msc"] // 1000
    found["flags"] = mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK
