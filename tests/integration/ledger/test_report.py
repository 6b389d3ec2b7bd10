"""A report's figures are those that a person works out from what subscribers were told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D  # noqa: N817 - a story full of numbers
from uuid import uuid4

import pytest

from tests.fixtures.confirmations import MONDAY, TUESDAY, Told, fill, store
from tests.integration.ledger.stories import RealClock
from worker.domain.errors import NotFound
from worker.ledger import report as reports
from worker.ledger.operators import Operator, operator
from worker.ledger.report import Asked, Line, report

pytestmark = pytest.mark.services

WEEK = Asked(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC))
LATE = uuid4()
TRADES = [
    fill(MONDAY, "-1", "0.5"),
    fill(MONDAY, "0", "1"),
    fill(MONDAY, "1.25", "1.5"),
    Told(MONDAY, "partially_filled", pips="2", seconds="2", requested="1.00", executed="0.60"),
    fill(MONDAY, "12", "4", exceeded=True),
    Told(MONDAY, "rejected", reason="market_closed", requested="0.50", executed="0"),
    Told(MONDAY, "rejected", reason="market_closed"),
    Told(MONDAY, "expired", reason="approval_expired"),
    # Told as unresolved first, as filled on the next day
    Told(MONDAY, "unresolved", reason="outcome_unknown", requested="1.00", execution_id=LATE),
    fill(TUESDAY, "3", "60", execution_id=LATE, version=2),
    # A message that nobody could read
    Told(MONDAY, "rejected", symbol=None, reason="schema_invalid"),
    fill(TUESDAY, "0.5", "1", symbol="GBPUSD"),
    Told(TUESDAY, "error", symbol="GBPUSD", reason="network_error", requested="2.00", executed="0"),
    # Another account, and other weeks
    fill(TUESDAY, "7", "1", symbol="GBPUSD", account="other"),
    fill(MONDAY - timedelta(days=1), "99", "99"),
    fill(MONDAY + timedelta(days=7), "99", "99"),
]


@pytest.fixture
async def desk(ledger_url: str) -> AsyncIterator[Operator]:
    store(ledger_url, TRADES)
    async with operator(ledger_url, RealClock()) as desk:
        yield desk


def place_of(line: Line) -> tuple[str | None, str | None]:
    return line.day, line.symbol


def the_line(lines: Sequence[Line], day: str | None, symbol: str | None) -> Line:
    [line] = [line for line in lines if place_of(line) == (day, symbol)]
    return line


async def test_the_figures_are_those_worked_out_by_hand(desk: Operator) -> None:
    found = await report(desk, replace(WEEK, account="main"))

    monday = the_line(found.by_day_and_symbol, "2026-03-02", "EURUSD")
    assert monday.executions == 9
    assert {status: count for status, count in monday.by_status.items() if count} == {
        "filled": 5,
        "partially_filled": 1,
        "rejected": 2,
        "expired": 1,
    }
    assert monday.fill_rate == D("0.6667")  # 6 of 9
    assert (monday.requested_lots, monday.executed_lots) == (D("6.50"), D("5.60"))
    # Six fills: -1, 0, 1.25, 2, 3, 12
    slippage = monday.slippage
    assert (slippage.count, slippage.best, slippage.worst) == (6, D(-1), D(12))
    assert slippage.mean == D("2.8750")
    assert (slippage.median, slippage.p90, slippage.p99) == (D("1.25"), D(12), D(12))
    assert slippage.over_limit == D("0.1667")  # 1 of 6
    # 0.5, 1, 1.5, 2, 4, 60
    assert (monday.fill_seconds_median, monday.fill_seconds_p99) == (D("1.5"), D(60))


async def test_days_symbols_and_the_whole_are_of_the_same_trades(desk: Operator) -> None:
    found = await report(desk, replace(WEEK, account="main"))

    assert [(place_of(line), line.executions) for line in found.by_day_and_symbol] == [
        (("2026-03-02", "EURUSD"), 9),
        (("2026-03-02", "_"), 1),
        (("2026-03-03", "GBPUSD"), 2),
    ]
    assert [(line.day, line.executions) for line in found.by_day] == [("2026-03-02", 10), ("2026-03-03", 2)]
    assert {line.symbol: line.executions for line in found.by_symbol} == {"EURUSD": 9, "GBPUSD": 2, "_": 1}
    assert (found.total.executions, found.total.slippage.count) == (12, 7)
    assert found.total.slippage.median == D("1.25")  # not a mean of medians: -1, 0, 0.5, 1.25, 2, 3, 12


async def test_reasons_are_counted_with_what_they_led_to(desk: Operator) -> None:
    found = await report(desk, replace(WEEK, account="main"))

    assert [(one.day, one.symbol, one.status, one.reason, one.executions) for one in found.reasons] == [
        ("2026-03-02", "EURUSD", "rejected", "market_closed", 2),
        ("2026-03-02", "EURUSD", "expired", "approval_expired", 1),
        ("2026-03-02", "_", "rejected", "schema_invalid", 1),
        ("2026-03-03", "GBPUSD", "error", "network_error", 1),
    ]


async def test_the_histogram_holds_every_fill(desk: Operator) -> None:
    found = await report(desk, replace(WEEK, account="main"))

    assert sum(bucket.fills for bucket in found.histogram) == 7
    assert (found.histogram[0].low, found.histogram[-1].high) == (D(-1), D(12))
    assert (found.histogram[0].fills, found.histogram[-1].fills) == (1, 1)


async def test_all_accounts_or_one_symbol(desk: Operator) -> None:
    assert (await report(desk, WEEK)).total.executions == 13
    other = await report(desk, replace(WEEK, account="other"))
    assert [bucket.fills for bucket in other.histogram] == [1]
    only = await report(desk, replace(WEEK, symbol="GBPUSD"))
    assert [place_of(line) for line in only.by_day_and_symbol] == [("2026-03-03", "GBPUSD")]
    assert only.total.executions == 3
    with pytest.raises(NotFound, match="no account nobody: it has main, other"):
        await report(desk, replace(WEEK, account="nobody"))


async def test_a_window_without_trades_is_a_report_of_zeros(desk: Operator) -> None:
    found = await report(desk, replace(WEEK, account="main", symbol="USDJPY"))

    assert (found.total.executions, found.total.fill_rate, found.total.slippage.median) == (0, None, None)
    assert (found.by_day, found.by_symbol, found.by_day_and_symbol) == ([], [], [])
    assert (found.reasons, found.histogram) == ([], [])


async def test_it_is_of_one_moment_and_writes_nothing(desk: Operator) -> None:
    async with reports._one_moment(desk.connection):
        assert await _shown(desk, "transaction_isolation") == "repeatable read"
        assert await _shown(desk, "transaction_read_only") == "on"

    assert await _shown(desk, "transaction_read_only") == "off"


async def test_symbols_beyond_the_most_frequent_ones_share_a_line(
    desk: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MOST_SYMBOLS", 1)

    found = await report(desk, WEEK)

    assert [(line.symbol, line.is_rest, line.executions) for line in found.by_symbol] == [
        ("EURUSD", False, 9),
        (None, True, 4),
    ]
    assert not found.total.is_rest


async def _shown(desk: Operator, setting: str) -> str:
    cursor = await desk.connection.execute(f"select current_setting('{setting}') as value")
    [row] = await cursor.fetchall()
    return str(row["value"])
