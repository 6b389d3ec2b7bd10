"""The page of a report: it needs nothing from anywhere, and what others wrote stays text in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cli.audit import page as pages
from worker.cli.audit.page import page
from worker.cli.audit.plots import Series, bars, columns, ticks
from worker.ledger.report import STATUSES, Asked, Bucket, Line, Reasons, Report, Slippage

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "</text></svg></style><b>",
    "http://evil.example/x.js",
    "url(//evil.example)",
    "&lt;",
    "\x1b[31mred\x00\u202e",
]


@dataclass
class Reader(HTMLParser):
    """Reads a page as strictly as a test needs it: what is opened is closed, and all is kept."""

    open: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def a_line(day: str | None, symbol: str | None, trades: int = 4) -> Line:
    nothing = trades == 0
    return Line(
        day=day,
        symbol=symbol,
        is_rest=False,
        executions=trades,
        by_status=dict.fromkeys(STATUSES, 0) | {"filled": trades // 2, "rejected": trades - trades // 2},
        fill_rate=None if nothing else Decimal("0.5"),
        requested_lots=Decimal(trades),
        executed_lots=Decimal(trades) / 2,
        slippage=Slippage(trades // 2, *[None if nothing else Decimal("-0.5")] * 7),
        fill_seconds_median=None if nothing else Decimal("-0.25"),  # the broker's clock is behind ours
        fill_seconds_p99=None if nothing else Decimal("1.5"),
    )


def a_report(days: Sequence[str], symbols: Sequence[str]) -> Report:
    return Report(
        asked=Asked(NOON - timedelta(days=7), NOON, symbols[0] if symbols else None),
        made_at=NOON,
        total=a_line(None, None, 4 * len(days) * len(symbols)),
        by_day=[a_line(day, None) for day in days],
        by_symbol=[a_line(None, symbol) for symbol in symbols],
        by_day_and_symbol=[a_line(day, symbol) for day in days for symbol in symbols],
        reasons=[Reasons(day, symbol, "rejected", symbol, 2) for day in days for symbol in symbols],
        histogram=[Bucket(Decimal(number), Decimal(number + 1), number) for number in range(24 if symbols else 0)],
    )


EMPTY = a_report([], [])
ONE = a_report(["2026-03-02"], ["EURUSD"])
MANY = a_report([f"2026-{month:02}-{day:02}" for month in range(1, 5) for day in range(1, 26)], ["EURUSD"] * 5)
NASTY = a_report(HOSTILE, HOSTILE)


@pytest.mark.parametrize("report", [EMPTY, ONE, MANY, NASTY], ids=["empty", "one", "many", "nasty"])
def test_nothing_in_it_leads_anywhere(report: Report) -> None:
    found = read(page(report))

    assert {tag for tag, _ in found.tags} <= {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "span", "figure", "svg", "rect",
        "line", "text", "table", "caption", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    names = {name for _, attributes in found.tags for name in attributes}
    assert names <= {
        "lang", "charset", "http-equiv", "content", "name", "class", "viewbox", "role", "aria-label", "x", "y", "x1",
        "y1", "x2", "y2", "width", "height", "text-anchor", "scope",
    }  # fmt: skip


@pytest.mark.parametrize("report", [EMPTY, ONE, MANY], ids=["empty", "one", "many"])
def test_it_names_no_address(report: Report) -> None:
    assert not re.search(r"https?:|//|url\(|@import|javascript:|data:", page(report))
    assert "default-src 'none'" in page(report)


def test_what_others_wrote_is_shown_as_text() -> None:
    found = read(page(NASTY))

    words = "".join(found.text)
    for hostile in HOSTILE[:-1]:
        assert hostile in words
    assert "\\x1b[31mred\\x00\\u202e" in words
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", page(NASTY))


@given(st.text(max_size=40))
def test_no_name_breaks_out(name: str) -> None:
    tame, wild = read(page(ONE)), read(page(a_report(["2026-03-02"], [name or "x"])))

    assert [tag for tag, _ in wild.tags] == [tag for tag, _ in tame.tags]


@pytest.mark.parametrize("report", [EMPTY, ONE, MANY, NASTY], ids=["empty", "one", "many", "nasty"])
def test_each_plot_has_its_figures_in_a_table(report: Report) -> None:
    found = read(page(report))

    kinds = [tag for tag, _ in found.tags if tag in {"figure", "svg", "table"}]
    assert re.fullmatch(r"(figure (svg )+table )+table ?", " ".join(kinds) + " ")
    assert all(attributes["aria-label"] and attributes["role"] == "img" for _, attributes in _all(found, "svg"))
    assert all(attributes["scope"] == "col" for _, attributes in _all(found, "th"))


def test_a_table_too_long_for_a_browser_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_LINES", 10)

    assert "490 lines more are in the report" in page(MANY)


def test_it_is_readable_in_the_dark_and_on_paper() -> None:
    assert "prefers-color-scheme: dark" in page(ONE)
    assert "@media print" in page(ONE)


VALUES = st.lists(st.none() | st.decimals(-1000, 1000, places=4), max_size=40)


@given(VALUES)
def test_bars_stay_within_their_plot(values: list[Decimal | None]) -> None:
    _hold_to_the_frame(bars("x", [str(place) for place in range(len(values))], [Series("a", values, "c0")]))


@given(VALUES, VALUES)
def test_columns_stay_within_their_plot(one: list[Decimal | None], two: list[Decimal | None]) -> None:
    length = min(len(one), len(two))
    series = [
        Series(name, [None if value is None else abs(value) for value in values[:length]], "c0")
        for name, values in (("a", one), ("b", two))
    ]
    _hold_to_the_frame(columns("x", [str(place) for place in range(length)], series))


def test_there_are_labels_for_as_many_columns_as_can_be_read() -> None:
    for number in (1, 9, 10, 366):
        plot = columns("x", ["2026-03-02"] * number, [Series("a", [1] * number, "c0")])
        assert 1 <= plot.count("2026-03-02</text>") <= 9
        assert plot.count("<rect") == number


@given(st.decimals(-(10**9), 10**9, places=4), st.decimals(0, 10**9, places=4))
def test_ticks_are_few_and_around_the_values(low: Decimal, span: Decimal) -> None:
    found = ticks(low, low + span)

    assert 2 <= len(found) <= 7
    assert found[0] <= low <= low + span <= found[-1]
    assert list(found) == sorted(set(found))


def _hold_to_the_frame(plot: str) -> None:
    found = read(plot)
    [(_, svg)] = _all(found, "svg")
    _, _, width, height = map(float, (svg["viewbox"] or "").split())
    assert (width, height < 5000) == (720, True)
    for _, box in _all(found, "rect"):
        x, y, wide, high = (float(box[name] or "nan") for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width + 0.1
        assert 0 <= y <= y + high <= height + 0.1


def _all(found: Reader, name: str) -> Iterator[tuple[str, dict[str, str | None]]]:
    return ((tag, attributes) for tag, attributes in found.tags if tag == name)
