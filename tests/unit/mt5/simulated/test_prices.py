"""Prices: a random walk that is a pure function of the time, begins at the base price and is calm in the short run."""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import pairwise
from statistics import pstdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.mt5.simulated.prices.prices import mid, quote
from worker.mt5.simulated.prices.touches import first_touch
from worker.mt5.simulated.prices.walk import DAY, LEVELS, MINUTE, PERIODS, TICK_MS, bounds, deviation
from worker.mt5.simulated.symbols import BASE, SYMBOLS

OPENED = 1_790_000_000_000
A_MINUTE_MS = 60_000
moments = st.integers(min_value=1_577_836_800_000, max_value=4_102_444_800_000)  # 2020 to 2100, UTC milliseconds
instruments = st.sampled_from(sorted(BASE.values(), key=lambda one: one.name))
symbols = st.sampled_from([SYMBOLS[name] for name in ("EURUSD", "USDJPY", "XAUUSD.wide", "US500", "BTCUSD.crossed")])


class TestQuotes:
    @given(instruments, moments)
    def test_bid_and_ask_are_on_the_tick_and_close_together(self, instrument: Any, moment: int) -> None:
        now = quote(SYMBOLS[instrument.name], moment, moment - A_MINUTE_MS)

        assert now is not None
        assert now.bid < now.ask
        assert now.ask - now.bid < 6 * instrument.pip
        for price in (now.bid, now.ask):
            assert Decimal(str(price)) % Decimal(str(instrument.tick_size)) == 0
            assert price == instrument.rounded(price)

    @given(instruments, moments, st.integers(min_value=0, max_value=TICK_MS - 1))
    def test_within_a_tick_it_is_the_same_for_everybody(self, instrument: Any, moment: int, later: int) -> None:
        begin = moment - moment % TICK_MS
        symbol = SYMBOLS[instrument.name]

        assert quote(symbol, begin, OPENED) == quote(symbol, begin + later, OPENED)

    @given(instruments, moments, moments)
    def test_the_market_opens_at_the_base_price_and_stays_above_nothing(
        self, instrument: Any, opened: int, moment: int
    ) -> None:
        assert mid(instrument, opened, opened) == instrument.price
        assert 0.02 < mid(instrument, moment, opened) / instrument.price < 50

    @given(moments)
    def test_a_frozen_feed_stands_half_an_hour_before_the_opening(self, moment: int) -> None:
        now = quote(SYMBOLS["EURUSD.stale"], moment, OPENED)

        assert now == quote(SYMBOLS["EURUSD"], OPENED - 30 * A_MINUTE_MS, OPENED)


class TestTheWalk:
    @given(instruments, moments)
    def test_from_tick_to_tick_it_moves_by_less_than_a_pip(self, instrument: Any, moment: int) -> None:
        before, after = (mid(instrument, moment + later, OPENED) for later in (0, TICK_MS))
        now = mid(instrument, moment, OPENED) / instrument.price  # a price far from its base moves by more

        assert abs(after - before) < instrument.pip * max(now, 1)

    @pytest.mark.parametrize("name", sorted(BASE))
    def test_a_minute_after_any_opening_the_market_is_within_ten_pips(self, name: str) -> None:
        instrument, dice = BASE[name], _dice(name)

        moves = [_pips(instrument, opened, A_MINUTE_MS) for opened in _moments(dice, 1500)]

        assert max(map(abs, moves)) < 10
        assert 5 * pstdev(moves) < 10, "not by luck: ten pips are five standard deviations and more"

    @pytest.mark.parametrize("name", sorted(BASE))
    def test_in_a_day_it_moves_by_its_volatility(self, name: str) -> None:
        instrument, dice = BASE[name], _dice(name)

        moves = [deviation(instrument, at + DAY) - deviation(instrument, at) for at in _ticks(dice, 800)]

        assert pstdev(moves) == pytest.approx(instrument.volatility, rel=0.5)

    def test_it_grows_like_the_root_of_the_time_from_minutes_to_months(self) -> None:
        euro, dice = BASE["EURUSD"], _dice("EURUSD")
        spans = [4**power * MINUTE for power in range(9)]  # a minute to a month and a half

        spread = [
            pstdev(deviation(euro, at + span) - deviation(euro, at) for at in _ticks(dice, 400)) for span in spans
        ]

        assert all(1.2 < longer / shorter < 4 for shorter, longer in pairwise(spread)), spread

    @given(instruments, moments, st.sampled_from(LEVELS), st.data())
    def test_it_never_leaves_its_bounds(self, instrument: Any, moment: int, level: int, data: st.DataObject) -> None:
        period = PERIODS[level]
        begin = moment // TICK_MS // period * period
        low, high = bounds(instrument, level, begin)

        within = begin + data.draw(st.integers(0, period))

        assert low <= deviation(instrument, within) <= high


class TestFirstTouch:
    @given(
        symbols,
        st.sampled_from([0, 1]),
        st.booleans(),
        st.integers(0, 10**9),
        st.integers(0, 2 * A_MINUTE_MS),
        st.integers(-60, 60),
    )
    def test_it_is_what_looking_at_every_tick_finds(  # noqa: PLR0913, PLR0917 - the whole question
        self,
        symbol: Any,
        side: int,
        rising: bool,  # noqa: FBT001 - drawn
        begin: int,
        length: int,
        points: int,
    ) -> None:
        after = OPENED + begin
        start = quote(symbol, after, OPENED)
        assert start is not None
        level = symbol.instrument.rounded(start.touch(side) + points * symbol.instrument.pip / 10)

        found = first_touch(symbol, side, level, rising, after, after + length, OPENED)

        assert found == _first_of_all_ticks(symbol, side, level, rising, (after, after + length))

    def test_the_moment_itself_is_not_after_it_and_the_last_one_counts(self) -> None:
        euro = SYMBOLS["EURUSD"]
        near = 0.5  # always below the market

        assert first_touch(euro, 0, near, True, OPENED, OPENED + 99, OPENED) is None  # noqa: FBT003 - rising
        assert first_touch(euro, 0, near, True, OPENED, OPENED + 100, OPENED) == OPENED + 100  # noqa: FBT003 - rising

    @pytest.mark.parametrize("suffix", ["stale", "notick"])
    def test_a_feed_that_does_not_tick_touches_nothing(self, suffix: str) -> None:
        symbol = SYMBOLS[f"EURUSD.{suffix}"]

        assert first_touch(symbol, 0, 0.5, True, OPENED, OPENED + DAY * TICK_MS, OPENED) is None  # noqa: FBT003 - rising

    def test_a_far_level_over_a_year_costs_next_to_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        looks = 0

        def counted(*arguments: Any) -> tuple[float, float]:
            nonlocal looks
            looks += 1
            return bounds(*arguments)

        monkeypatch.setattr("worker.mt5.simulated.prices.touches.bounds", counted)

        assert first_touch(SYMBOLS["EURUSD"], 1, 2.0, True, OPENED, OPENED + 365 * DAY * TICK_MS, OPENED) is None  # noqa: FBT003 - rising
        assert looks < 100


def _dice(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a sample, no secret


def _pips(instrument: Any, opened: int, later: int) -> float:
    return float((mid(instrument, opened + later, opened) - instrument.price) / instrument.pip)


def _moments(dice: random.Random, count: int) -> list[int]:
    return [tick * TICK_MS for tick in _ticks(dice, count)]


def _ticks(dice: random.Random, count: int) -> list[int]:
    return [dice.randrange(14_000_000_000, 20_000_000_000) for _ in range(count)]  # 2014 to 2033


def _first_of_all_ticks(symbol: Any, side: int, level: float, rising: bool, window: tuple[int, int]) -> int | None:  # noqa: FBT001 - as above
    after, until = window
    for moment in range(after - after % TICK_MS + TICK_MS, until + 1, TICK_MS):
        now = quote(symbol, moment, OPENED)
        assert now is not None
        ahead = round((now.touch(side) - level) / symbol.instrument.tick_size)
        if (ahead if rising else -ahead) >= 0:
            return moment
    return None
