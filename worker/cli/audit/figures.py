"""A report's figures in the words of its readers: the same ones on a terminal and on a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from worker.cli.show import words
from worker.ledger.report import Line, Report

OTHERS = "(other symbols)"
_CENT = Decimal("0.01")


ENDINGS = ("trades", "filled", "partly", "fill rate", "ended otherwise")
SLIPPAGE = ("fills", "mean", "median", "p90", "p99", "worst", "over limit")
FILLS = ("requested lots", "executed lots", "median", "p99")
_EXECUTED = ("filled", "partially_filled")


def endings(line: Line) -> Sequence[str]:
    """Return the cells below ENDINGS."""
    others = [f"{count} {name}" for name, count in line.by_status.items() if count and name not in _EXECUTED]
    executed = [words(line.by_status[name]) for name in _EXECUTED]
    return [words(line.executions), *executed, percent(line.fill_rate), ", ".join(others) or "-"]


def slippage(line: Line) -> Sequence[str]:
    """Return the cells below SLIPPAGE, in pips."""
    told = line.slippage
    return [
        words(told.count),
        *(rounded(value) for value in (told.mean, told.median, told.p90, told.p99, told.worst)),
        percent(told.over_limit),
    ]


def fills(line: Line) -> Sequence[str]:
    """Return the cells below FILLS; the times are from receipt to the last deal."""
    times = [line.fill_seconds_median, line.fill_seconds_p99]
    lots = [words(line.requested_lots), words(line.executed_lots)]
    return [*lots, *("-" if seconds is None else f"{rounded(seconds)} s" for seconds in times)]


def reasons(report: Report) -> Sequence[tuple[str, str, int]]:
    """Return each reason with the status it led to and how often it did, the most frequent first."""
    counted: Counter[tuple[str, str]] = Counter()
    for one in report.reasons:
        counted[one.reason or "-", one.status] += one.executions
    return [(reason, status, count) for (reason, status), count in counted.most_common()]


def day_of(line: Line) -> str:
    """Return the line's day."""
    return line.day or "all"


def symbol_of(line: Line) -> str:
    """Return the name of the line's symbol."""
    return OTHERS if line.is_rest else line.symbol or "all"


def percent(share: Decimal | None) -> str:
    """Write a share of 0 to 1 in percent."""
    return "-" if share is None else f"{words(share * 100)} %"


def rounded(value: Decimal | None) -> str:
    """Write a number with two digits behind the point; `--json` has all of them."""
    return "-" if value is None else f"{value.quantize(_CENT)}"
