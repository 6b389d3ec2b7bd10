"""
When a symbol's market is open: always, unless the book's owner closes it at weekends.

Weekends are the Saturdays and Sundays of the server's clock; coins are traded through them. A closed market shows its
last tick and executes nothing: orders and stops that would have been reached meanwhile meet the price at which the
market opens again. Price history knows no weekends.
"""

from __future__ import annotations

from typing import NamedTuple

from worker.mt5.simulated.symbols import Symbol

_DAY_MSC = 86_400_000
_MONDAY = 4  # 5 January 1970: days since that of the epoch
_SATURDAY = 5  # days after Monday


class Weekend(NamedTuple):
    """When a market closed, and when it opens again, in UTC milliseconds."""

    begin: int
    end: int


def weekend(symbol: Symbol, utc_msc: int, server_offset_seconds: int) -> Weekend | None:
    """Return the weekend at a moment, in which all but a few markets are closed; None on other days, and for those."""
    if symbol.instrument.open_at_weekends:
        return None
    offset = server_offset_seconds * 1000
    day = (utc_msc + offset) // _DAY_MSC
    weekday = (day - _MONDAY) % 7
    if weekday < _SATURDAY:
        return None
    begin = (day - weekday + _SATURDAY) * _DAY_MSC - offset
    return Weekend(begin, begin + 2 * _DAY_MSC)
