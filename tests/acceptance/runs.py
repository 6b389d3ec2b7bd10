"""Runs of many trades of many kinds, each of its own size, so that the book tells which order was whose."""

from __future__ import annotations

from collections.abc import Iterator

from tests.fixtures.rpm import LONG, SHORT, JsonObject, approval

_STEP_UNITS = {"E": 1_000.0, "G": 1_000.0, "X": 1.0, "B": 0.01}
_KINDS = (
    "EURUSD",
    "XAUUSD",
    "EURUSD.partial",
    "GBPUSD",
    "EURUSD.multi",
    "BTCUSD",
    "EURUSD.slow",
    "EURUSD.requote",
    "XAUUSD.hidden",
    "EURUSD.closed",
)
_ENDS = {
    "partial": {"partially_filled"},
    "closed": {"rejected"},
}


def trades(count: int, first: int = 0) -> Iterator[JsonObject]:
    """Write so many approvals: fills of every sort, partial fills and refusals, longs and shorts.

    `first` numbers them on from an earlier run, so that no size comes twice in one book.
    """
    for number in range(first, first + count):
        kind, round_ = number % len(_KINDS), number // len(_KINDS)
        symbol = _KINDS[kind]
        # Sizes of whole tens of steps, so that 60 % of them is on the step as well
        units = round(_STEP_UNITS[symbol[0]] * 10 * (round_ + 1), 8)
        yield approval(symbol, units, SHORT if number % 3 == 2 else LONG)


def expected_statuses(symbol: str) -> set[str]:
    """Return how a trade of a run ends when nothing but its own broker has a say."""
    return _ENDS.get(symbol.partition(".")[2], {"filled"})
