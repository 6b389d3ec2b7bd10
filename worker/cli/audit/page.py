"""A report as one page that needs nothing else: it opens from a disk, without a network, in any browser, and prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from worker.cli.audit import figures
from worker.cli.audit.figures import day_of, symbol_of
from worker.cli.audit.markup import Markup, joined, tag
from worker.cli.audit.plots import Series, bars, columns, legend
from worker.ledger.report import Line, Report

MOST_LINES = 2000  # of the long table: what a browser shows at once
_BARS = 20

# Nothing may be fetched, whatever stands in the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1a1f24; --paper: #fff; --faint: #cdd3d8; --c0: #2f7d4f; --c1: #8cc7a1;
  --c2: #b8860b; --c3: #b3423a; --c4: #3b6ea5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --paper: #16191c; --faint: #454c53; --c0: #4fae78;
  --c1: #2f6b49; --c2: #d8a531; --c3: #e06c62; --c4: #6aa3de; } }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
figure { margin: 0; } svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--ink); font-size: 11px; } svg line { stroke: var(--faint); stroke-width: .6; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--faint); padding: .2rem .5rem; text-align: right; overflow-wrap: anywhere; }
th:first-child, td:first-child, .text { text-align: left; } caption { text-align: left; font-weight: 600; }
.legend { margin: .3rem 0; } .key { margin-right: 1.2rem; }
.key::before { content: ""; display: inline-block; width: .8em; height: .8em; margin-right: .4em; }
rect.c0 { fill: var(--c0); } rect.c1 { fill: var(--c1); } rect.c2 { fill: var(--c2); } rect.c3 { fill: var(--c3); }
rect.c4 { fill: var(--c4); } .c0::before { background: var(--c0); } .c1::before { background: var(--c1); }
.c2::before { background: var(--c2); } .c3::before { background: var(--c3); } .c4::before { background: var(--c4); }
@media print { body { max-width: none; padding: 0; } figure, tr { break-inside: avoid; }
  .key::before, rect { print-color-adjust: exact; } }
"""


def page(report: Report) -> str:
    """Return the page."""
    head = joined(
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        tag("title", f"Trades from {_day(report.asked.since)} to {_day(report.asked.until)}"),
        tag("style", Markup(_STYLE)),
    )
    body = joined(
        _title(report),
        _endings(report),
        _reasons(report),
        _slippage(report),
        _lots(report),
        _times(report),
        _all(report),
    )
    return f"<!DOCTYPE html>\n{tag('html', tag('head', head), tag('body', tag('main', body)), lang='en')}\n"


def _title(report: Report) -> Markup:
    asked, total = report.asked, report.total
    about = f"account {asked.account or 'all'}, symbol {asked.symbol or 'all'}"
    return joined(
        tag("h1", "What came of the trades"),
        tag("p", f"First confirmed from {_moment(asked.since)} to {_moment(asked.until)}; {about}."),
        tag("p", f"{total.executions} trades, {figures.percent(total.fill_rate)} of them filled, wholly or in part."),
        tag("p", f"Made at {_moment(report.made_at)}, as subscribers had been told last. Days are days in UTC."),
    )


def _endings(report: Report) -> Markup:
    lines = report.by_day
    groups = [
        ("filled", ("filled",)),
        ("partially filled", ("partially_filled",)),
        ("expired or cancelled", ("expired", "cancelled")),
        ("rejected or error", ("rejected", "error")),
        ("unresolved", ("unresolved",)),
    ]
    series = [
        Series(name, [sum(line.by_status[status] for status in of) for line in lines], f"c{place}")
        for place, (name, of) in enumerate(groups)
    ]
    title = "How trades ended, by day"
    days = [day_of(line) for line in lines]
    plot = joined(legend(series), columns(title, days, series))
    cells = [[day_of(line), *figures.endings(line)] for line in [*lines, report.total]]
    return _section(title, plot, ["day", *figures.ENDINGS], cells)


def _reasons(report: Report) -> Markup:
    counted = figures.reasons(report)
    shown = counted[:_BARS]
    title = "Why trades did not end filled"
    plot = bars(title, [reason for reason, *_ in shown], [Series("trades", [count for *_, count in shown], "c3")])
    return _section(title, plot, ["reason", "status", "trades"], counted)


def _slippage(report: Report) -> Markup:
    title = "Slippage of fills, in pips: positive is worse for us"
    marks = [figures.rounded(bucket.low) for bucket in report.histogram]
    spread = Series("fills", [bucket.fills for bucket in report.histogram], "c4")
    lines = _with_most([line for line in report.by_symbol if line.slippage.count])
    series = [
        Series("median", [line.slippage.median for line in lines], "c0"),
        Series("p90", [line.slippage.p90 for line in lines], "c2"),
        Series("p99", [line.slippage.p99 for line in lines], "c3"),
    ]
    plot = joined(
        columns("How many fills had which slippage, in pips", marks, [spread]),
        legend(series),
        bars("Slippage by symbol, in pips", [symbol_of(line) for line in lines], series),
    )
    cells = [[symbol_of(line), *figures.slippage(line)] for line in [*report.by_symbol, report.total]]
    return _section(title, plot, ["symbol", *figures.SLIPPAGE], cells)


def _lots(report: Report) -> Markup:
    title = "Requested and executed lots, by symbol"
    lines = _with_most(report.by_symbol)
    series = [
        Series("requested", [line.requested_lots for line in lines], "c4"),
        Series("executed", [line.executed_lots for line in lines], "c0"),
    ]
    plot = joined(legend(series), bars(title, [symbol_of(line) for line in lines], series))
    cells = [[symbol_of(line), line.requested_lots, line.executed_lots] for line in [*report.by_symbol, report.total]]
    return _section(title, plot, ["symbol", "requested", "executed"], cells)


def _times(report: Report) -> Markup:
    title = "Seconds from receipt to fill, by day"
    lines = report.by_day
    series = [
        Series("median", [_positive(line.fill_seconds_median) for line in lines], "c0"),
        Series("from there to p99", [_above(line) for line in lines], "c2"),
    ]
    plot = joined(legend(series), columns(title, [day_of(line) for line in lines], series))
    cells = [
        [day_of(line), figures.rounded(line.fill_seconds_median), figures.rounded(line.fill_seconds_p99)]
        for line in [*lines, report.total]
    ]
    return _section(title, plot, ["day", "median", "p99"], cells)


def _all(report: Report) -> Markup:
    lines = report.by_day_and_symbol[:MOST_LINES]
    names = ["day", "symbol", *figures.ENDINGS, *figures.SLIPPAGE]
    cells = [[day_of(line), symbol_of(line), *figures.endings(line), *figures.slippage(line)] for line in lines]
    rest = len(report.by_day_and_symbol) - len(lines)
    more = tag("p", f"{rest} lines more are in the report's JSON.") if rest else Markup()
    return joined(tag("h2", "By day and symbol"), _table("By day and symbol", names, cells), more)


def _section(title: str, plot: Markup, names: Sequence[str], cells: Iterable[Sequence[object]]) -> Markup:
    return joined(tag("h2", title), tag("figure", plot), _table(title, names, cells))


def _table(title: str, names: Sequence[str], cells: Iterable[Sequence[object]]) -> Markup:
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    rows = [tag("tr", *(tag("td", value) for value in row)) for row in cells]
    return tag("table", tag("caption", title), tag("thead", head), tag("tbody", *rows))


def _with_most(lines: Sequence[Line]) -> Sequence[Line]:
    """Return those that fit a plot: the ones with the most trades."""
    return sorted(lines, key=lambda line: -line.executions)[:_BARS]


def _positive(seconds: Decimal | None) -> Decimal:
    """Return what can be drawn: the broker's clock may say that a fill was before the receipt."""
    return max(seconds or Decimal(0), Decimal(0))


def _above(line: Line) -> Decimal:
    return _positive(line.fill_seconds_p99) - _positive(line.fill_seconds_median)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
