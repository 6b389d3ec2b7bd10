"""The package's functions about price history: bars and ticks, as NumPy arrays."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from worker.mt5.simulated.package import arguments
from worker.mt5.simulated.package.pipe import Calls, call

MAX_BARS = 100_000


class HistoryCalls(Calls):
    """`copy_rates_*` and `copy_ticks_*`."""

    @call
    def copy_rates_from(self, *args: object) -> object:
        """Return bars back from a date: `copy_rates_from(symbol, timeframe, date, count)`."""
        name, timeframe, date, count = arguments.parsed("OiOi", args)
        seconds = arguments.epoch_seconds(date)
        return _copies().rates_from(*self.pipe.asked_about(name), timeframe, seconds, count)

    @call
    def copy_rates_from_pos(self, *args: object) -> object:
        """Return bars back from a position: `copy_rates_from_pos(symbol, timeframe, start, count)`."""
        name, timeframe, start, count = arguments.parsed("Oiii", args)
        return _copies().rates_from_position(*self.pipe.asked_about(name), timeframe, start, count)

    @call
    def copy_rates_range(self, *args: object) -> object:
        """Return the bars between two dates: `copy_rates_range(symbol, timeframe, first, last)`."""
        name, timeframe, *dates = arguments.parsed("OiOO", args)
        first, last = (arguments.epoch_seconds(date) for date in dates)
        return _copies().rates_range(*self.pipe.asked_about(name), timeframe, first, last)

    @call
    def copy_ticks_from(self, *args: object) -> object:
        """Return ticks on from a date: `copy_ticks_from(symbol, date, count, flags)`."""
        name, date, count, flags = arguments.parsed("OOii", args)
        seconds = arguments.epoch_seconds(date)
        return _copies().ticks_from(*self.pipe.asked_about(name), seconds, count, flags)

    @call
    def copy_ticks_range(self, *args: object) -> object:
        """Return the ticks between two dates: `copy_ticks_range(symbol, first, last, flags)`."""
        name, *dates, flags = arguments.parsed("OOOi", args)
        first, last = (arguments.epoch_seconds(date) for date in dates)
        return _copies().ticks_range(*self.pipe.asked_about(name), first, last, flags)


def _copies() -> Any:
    """Import what needs NumPy only when it is asked for: nothing else here does."""
    try:
        return import_module("worker.mt5.simulated.package.copies")
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        text = "price history comes as NumPy arrays, and NumPy is not installed: pip install 'mt5-worker[numpy]'"
        raise ModuleNotFoundError(text, name="numpy") from None
