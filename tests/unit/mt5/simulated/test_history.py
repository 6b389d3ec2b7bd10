"""Price history as a program copies it: which bars and ticks it gets, in which order, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.unit.mt5.simulated.conftest import Customer

HOUR, DAY = 3600, 86_400
NOON = 1_774_353_600  # Tuesday 24 March 2026, 12:00, server time
BEGINNING = 1_325_376_000  # Sunday 1 January 2012


class TestBars:
    def test_from_a_date_they_go_back_and_come_oldest_first(self, mt5: Any) -> None:
        rates = mt5.copy_rates_from("EURUSD", mt5.TIMEFRAME_H1, NOON, 3)

        assert rates["time"].tolist() == [NOON - 2 * HOUR, NOON - HOUR, NOON]
        assert mt5.copy_rates_from("EURUSD", mt5.TIMEFRAME_H1, NOON + HOUR - 1, 3).tolist() == rates.tolist()
        assert isinstance(rates[0], np.void)
        assert (rates["low"] < rates["high"]).all()
        assert set(rates["tick_volume"]) == {36_000}
        assert set(rates["spread"]) == {12}
        assert set(rates["real_volume"]) == {0}

    def test_between_two_dates_both_ends_are_included(self, mt5: Any) -> None:
        first, last = (datetime.fromtimestamp(at, UTC) for at in (NOON, NOON + 2 * HOUR))

        rates = mt5.copy_rates_range("XAUUSD", mt5.TIMEFRAME_H1, first, last)

        assert rates["time"].tolist() == [NOON, NOON + HOUR, NOON + 2 * HOUR]
        assert len(mt5.copy_rates_range("XAUUSD", mt5.TIMEFRAME_H1, NOON + 1, NOON + 2 * HOUR - 1)) == 1

    def test_a_window_without_an_opening_is_empty_and_no_failure(self, mt5: Any) -> None:
        for window in (
            (NOON + 1, NOON + 2),
            (NOON + 1, NOON),
            (int(time.time()) + 9 * DAY, int(time.time()) + 10 * DAY),
        ):
            rates = mt5.copy_rates_range("EURUSD", mt5.TIMEFRAME_H1, *window)

            assert rates.shape == (0,)
            assert mt5.last_error() == (1, "Success")

    def test_position_0_is_the_bar_that_is_forming(self, customer: Customer) -> None:
        mt5 = customer.mt5
        two = mt5.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_D1, 0, 2)
        one = mt5.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_D1, 1, 1)

        assert two["time"][1] - two["time"][0] == DAY
        assert 0 <= mt5.symbol_info_tick("EURUSD").time - two["time"][1] < DAY + 60
        assert one["time"][0] in two["time"]
        assert two["tick_volume"][0] == 864_000

    def test_a_date_to_come_means_the_present(self, mt5: Any) -> None:
        rates = mt5.copy_rates_from("EURUSD", mt5.TIMEFRAME_M1, int(time.time()) + 30 * DAY, 5)

        assert len(rates) == 5
        assert abs(rates["time"][-1] - (time.time() + 7200)) < 120

    def test_history_begins_long_before_the_book(self, mt5: Any) -> None:
        for timeframe in (mt5.TIMEFRAME_H12, mt5.TIMEFRAME_D1, mt5.TIMEFRAME_W1, mt5.TIMEFRAME_MN1):
            assert mt5.copy_rates_range("EURUSD", timeframe, 0, BEGINNING)["time"].tolist() == [BEGINNING]
        assert len(mt5.copy_rates_from("EURUSD", mt5.TIMEFRAME_MN1, BEGINNING - 1, 5)) == 0

    def test_the_present_bar_holds_the_present_price(self, mt5: Any) -> None:
        before = mt5.symbol_info_tick("USDJPY")
        (bar,) = mt5.copy_rates_from_pos("USDJPY", mt5.TIMEFRAME_MN1, 0, 1)

        assert bar["low"] <= before.bid <= bar["high"]

    @pytest.mark.parametrize(("timeframe", "start", "count"), [(7, 0, 1), (1, -1, 1), (1, 0, 0), (1, 0, 100_000)])
    def test_what_means_nothing_to_the_terminal_is_refused(
        self, mt5: Any, timeframe: int, start: int, count: int
    ) -> None:
        assert mt5.copy_rates_from_pos("EURUSD", timeframe, start, count) is None
        assert mt5.last_error() == (-2, "Terminal: Invalid params")

    def test_a_window_with_too_many_bars_is_refused_as_a_whole(self, mt5: Any) -> None:
        assert mt5.copy_rates_range("EURUSD", mt5.TIMEFRAME_M1, NOON - 100 * DAY, NOON) is None
        assert mt5.last_error() == (-2, "Terminal: Invalid params")


class TestTicks:
    def test_from_a_date_they_go_on_ten_a_second(self, mt5: Any) -> None:
        ticks = mt5.copy_ticks_from("EURUSD", NOON, 12, mt5.COPY_TICKS_ALL)

        assert ticks["time_msc"].tolist() == [NOON * 1000 + place * 100 for place in range(12)]
        assert ticks["time"].tolist() == [NOON] * 10 + [NOON + 1] * 2
        assert (ticks["ask"] - ticks["bid"]).round(5).tolist() == [0.00012] * 12
        assert set(ticks["flags"]) == {mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK}

    def test_between_two_dates_both_ends_are_included(self, mt5: Any) -> None:
        ticks = mt5.copy_ticks_range("EURUSD", NOON, NOON + 60, mt5.COPY_TICKS_INFO)
        (minute,) = mt5.copy_rates_from("EURUSD", mt5.TIMEFRAME_M1, NOON, 1)

        assert len(ticks) == 601
        assert (minute["open"], minute["close"]) == (ticks["bid"][0], ticks["bid"][-2])
        assert (minute["high"], minute["low"]) == (ticks["bid"][:-1].max(), ticks["bid"][:-1].min())

    def test_the_last_one_is_what_the_market_shows(self, mt5: Any) -> None:
        tick = mt5.symbol_info_tick("EURUSD")

        copied = mt5.copy_ticks_from("EURUSD", tick.time, 10, mt5.COPY_TICKS_ALL)

        (same,) = copied[copied["time_msc"] == tick.time_msc]
        assert (same["bid"], same["ask"], same["flags"]) == (tick.bid, tick.ask, tick.flags)
        assert len(mt5.copy_ticks_from("EURUSD", tick.time + DAY, 10, mt5.COPY_TICKS_ALL)) == 0

    def test_nobody_trades_here_so_there_are_no_trades(self, mt5: Any) -> None:
        assert mt5.copy_ticks_range("EURUSD", NOON, NOON + 60, mt5.COPY_TICKS_TRADE).shape == (0,)

    @pytest.mark.parametrize(("count", "flags"), [(0, -1), (5, 17)])
    def test_what_means_nothing_to_the_terminal_is_refused(self, mt5: Any, count: int, flags: int) -> None:
        assert mt5.copy_ticks_from("EURUSD", NOON, count, flags) is None
        assert mt5.last_error() == (-2, "Terminal: Invalid params")

    def test_a_week_of_ticks_is_too_much_for_one_answer(self, mt5: Any) -> None:
        assert mt5.copy_ticks_range("EURUSD", NOON - 7 * DAY, NOON, mt5.COPY_TICKS_ALL) is None
        assert mt5.last_error() == (-3, "No memory")


class TestSuffixes:
    def test_a_symbol_without_ticks_has_no_history(self, mt5: Any) -> None:
        assert mt5.copy_rates_from_pos("EURUSD.notick", mt5.TIMEFRAME_M1, 0, 10).shape == (0,)
        assert mt5.copy_rates_range("EURUSD.notick", mt5.TIMEFRAME_D1, 0, NOON).shape == (0,)
        assert mt5.copy_ticks_from("EURUSD.notick", NOON, 10, mt5.COPY_TICKS_ALL).shape == (0,)

    def test_a_frozen_one_has_it_up_to_its_last_tick(self, mt5: Any) -> None:
        mt5.symbol_select("EURUSD.stale", True)  # noqa: FBT003 - the package takes it by position only
        frozen = mt5.symbol_info_tick("EURUSD.stale")

        ticks = mt5.copy_ticks_range("EURUSD.stale", frozen.time - 1, frozen.time + HOUR, mt5.COPY_TICKS_ALL)

        assert (ticks["time_msc"][-1], ticks["bid"][-1]) == (frozen.time_msc, frozen.bid)
        assert mt5.copy_rates_from_pos("EURUSD.stale", mt5.TIMEFRAME_M1, 0, 1)["close"][0] == frozen.bid

    def test_a_wide_one_shows_its_spread(self, mt5: Any) -> None:
        assert mt5.copy_rates_from("EURUSD.wide", mt5.TIMEFRAME_D1, NOON, 1)["spread"][0] == 500


class TestArguments:
    @pytest.mark.parametrize(
        ("function", "arguments"),
        [
            ("copy_rates_from", ("EURUSD", 1, NOON)),
            ("copy_rates_from", ("EURUSD", 1, "yesterday", 1)),
            ("copy_rates_from", (5, 1, NOON, 1)),
            ("copy_rates_from_pos", ("EURUSD", 1, 0)),
            ("copy_rates_range", ("E" * 30, 1, NOON, NOON)),
            ("copy_ticks_from", ("EURUSD", None, 1, -1)),
            ("copy_ticks_range", ("EURUSD", NOON, NOON)),
        ],
    )
    def test_those_that_cannot_be_read_are_refused(
        self, mt5: Any, function: str, arguments: tuple[object, ...]
    ) -> None:
        assert getattr(mt5, function)(*arguments) is None
        assert mt5.last_error() == (-2, "Invalid arguments")

    @pytest.mark.parametrize(
        ("function", "arguments"),
        [
            ("copy_rates_from", ("EURUSD", 1.0, NOON, 1)),
            ("copy_rates_from", ("EURUSD", 1, 1 << 31, 1)),
            ("copy_rates_from_pos", ("EURUSD", 1, 0, "1")),
            ("copy_ticks_from", ("EURUSD", NOON, 1, 1 << 31)),
        ],
    )
    def test_where_a_whole_number_is_due_nothing_else_will_do(
        self, mt5: Any, function: str, arguments: tuple[object, ...]
    ) -> None:
        with pytest.raises(SystemError, match=function):
            getattr(mt5, function)(*arguments)

    def test_an_unknown_symbol_is_not_found(self, mt5: Any) -> None:
        assert mt5.copy_rates_from_pos("NOSUCH", mt5.TIMEFRAME_M1, 0, 1) is None
        assert mt5.last_error() == (-4, "Terminal: Not found")


def test_without_numpy_everything_else_works_and_history_says_what_is_missing(customer: Customer) -> None:
    program = f"""
import sys
sys.modules["numpy"] = None
from worker.mt5 import simulated
mt5 = simulated.module({str(customer.path)!r})
mt5.initialize()
assert mt5.symbol_info("EURUSD").bidhigh > 0
try:
    mt5.copy_rates_from_pos("EURUSD", mt5.TIMEFRAME_M1, 0, 1)
except ModuleNotFoundError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert "NumPy is not installed: pip install 'mt5-worker[numpy]'" in run.stdout
