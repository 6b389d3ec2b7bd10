"""Many ticks at once give what single ticks give: bars are their ticks, longer bars are their minutes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.prices import series, timeframes, walk
from worker.mt5.simulated.prices.bars import RATE, bars
from worker.mt5.simulated.prices.prices import quote
from worker.mt5.simulated.prices.series import Tape
from worker.mt5.simulated.prices.ticks import TICK, ticks
from worker.mt5.simulated.symbols import SYMBOLS

OPENED = 1_790_000_000_000
LAST = OPENED // 100 + 1_234_567
MONDAY = 1_789_948_800  # 21 September 2026, server time
DAYS = 86_400
names = st.sampled_from(["EURUSD", "USDJPY.wide", "XAUUSD", "US500.crossed", "BTCUSD", "ETHUSD"])
numbers = st.lists(st.integers(10_000_000_000, 40_000_000_000), min_size=1, max_size=20)  # ticks, 2001 to 2096
offsets = st.sampled_from([0, 7200, 10_800, 19_800, -18_000, 7])
TIMEFRAMES = {name: value for name, value in vars(mt5).items() if name.startswith("TIMEFRAME_")}


def tape(name: str = "EURUSD", offset: int = 7200) -> Tape:
    return Tape(SYMBOLS[name], OPENED, offset, LAST)


class TestTheVectorisedWalk:
    @given(names, numbers)
    def test_heights_are_those_of_single_ticks_to_the_last_bit(self, name: str, some: list[int]) -> None:
        instrument = SYMBOLS[name].instrument

        together = series.heights(instrument, np.array(some))

        assert together.tolist() == [walk.deviation(instrument, tick) for tick in some]

    @given(names, numbers, st.sampled_from(walk.LEVELS))
    def test_bounds_are_those_of_single_periods(self, name: str, some: list[int], level: int) -> None:
        instrument, period = SYMBOLS[name].instrument, walk.PERIODS[level]
        begins = [tick - tick % period for tick in some]

        height, low, high = series.blocks(instrument, level, np.array(begins))

        assert height.tolist() == [walk.deviation(instrument, begin) for begin in begins]
        assert list(zip(low, high, strict=True)) == [walk.bounds(instrument, level, begin) for begin in begins]

    @given(names, st.integers(10_000_000_000, 40_000_000_000))
    def test_ticks_are_the_quotes_of_their_moments(self, name: str, first: int) -> None:
        copied = ticks(tape(name), first, first + 50)

        for place, tick in enumerate(copied):
            now: Any = quote(SYMBOLS[name], (first + place) * 100, OPENED)
            assert (tick["bid"], tick["ask"]) == (now.bid, now.ask)
            assert tick["time_msc"] == now.utc_msc + 7_200_000


class TestBars:
    @settings(max_examples=12)
    @given(
        names, st.sampled_from([mt5.TIMEFRAME_M1, mt5.TIMEFRAME_M2, mt5.TIMEFRAME_M5]), offsets, st.integers(0, 10**6)
    )
    def test_a_bar_is_exactly_its_ticks(self, name: str, timeframe: int, offset: int, number: int) -> None:
        source = tape(name, offset)
        number += timeframes.bar_of(timeframe, MONDAY) - 10**6

        (bar,) = bars(source, timeframe, number, number + 1)

        begin = (int(bar["time"]) - offset) * 10
        bids = ticks(source, begin, begin + int(bar["tick_volume"]))["bid"]
        assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (bids[0], max(bids), min(bids), bids[-1])
        assert bar["tick_volume"] == timeframe * 600

    @pytest.mark.parametrize("offset", [7200, 19_800])
    @pytest.mark.parametrize("name", sorted(TIMEFRAMES.keys() - {"TIMEFRAME_W1", "TIMEFRAME_MN1"}))
    def test_a_longer_bar_is_the_sum_of_its_minutes(self, name: str, offset: int) -> None:
        source, timeframe = tape(offset=offset), TIMEFRAMES[name]
        number = timeframes.bar_of(timeframe, MONDAY)

        (bar,) = bars(source, timeframe, number, number + 1)

        begin, end = timeframes.openings(timeframe, number, number + 2) // 60
        assert _fields(bar) == _sum(bars(source, mt5.TIMEFRAME_M1, begin, end))

    @pytest.mark.parametrize("timeframe", [mt5.TIMEFRAME_W1, mt5.TIMEFRAME_MN1])
    def test_weeks_and_months_are_the_sum_of_their_days(self, timeframe: int) -> None:
        number = timeframes.bar_of(timeframe, MONDAY) - 3

        (bar,) = bars(tape("BTCUSD"), timeframe, number, number + 1)

        begin, end = timeframes.openings(timeframe, number, number + 2) // DAYS
        assert _fields(bar) == _sum(bars(tape("BTCUSD"), mt5.TIMEFRAME_D1, begin, end))

    def test_the_bar_that_is_forming_ends_with_the_last_tick(self) -> None:
        number = timeframes.bar_of(mt5.TIMEFRAME_H1, (LAST - 1) // 10 + 7200)

        before, forming = bars(tape(), mt5.TIMEFRAME_H1, number - 1, number + 1)

        assert before["tick_volume"] == 36_000 > forming["tick_volume"] > 0
        assert forming["close"] == ticks(tape(), LAST - 1, LAST)["bid"][0]

    def test_records_are_packed_as_the_package_s_are(self) -> None:
        assert RATE.itemsize == TICK.itemsize == 60
        assert [RATE.fields[name][1] for name in RATE.names] == [0, 8, 16, 24, 32, 40, 48, 52]  # type: ignore[index, union-attr]
        assert [TICK.fields[name][1] for name in TICK.names] == [0, 8, 16, 24, 32, 40, 48, 52]  # type: ignore[index, union-attr]


class TestTimeframes:
    def test_there_are_21_of_them(self) -> None:
        assert set(TIMEFRAMES.values()) == timeframes.ALL
        assert len(timeframes.ALL) == 21

    @given(st.sampled_from(sorted(timeframes.ALL)), st.integers(0, 4_000_000_000))
    def test_every_moment_belongs_to_the_bar_that_opened_last(self, timeframe: int, seconds: int) -> None:
        number = timeframes.bar_of(timeframe, seconds)

        opened, following = timeframes.openings(timeframe, number, number + 2)

        assert opened <= seconds < following
        assert opened % timeframes.common_length(timeframe) == 0

    @given(st.integers(0, 4_000_000_000))
    def test_weeks_begin_on_sunday_and_months_on_the_first(self, seconds: int) -> None:
        week, month = (
            datetime.fromtimestamp(int(timeframes.openings(one, number, number + 1)[0]), UTC)
            for one in (mt5.TIMEFRAME_W1, mt5.TIMEFRAME_MN1)
            for number in [timeframes.bar_of(one, seconds)]
        )

        assert (week.isoweekday(), week.hour) == (7, 0)
        assert (month.day, month.hour) == (1, 0)


def _fields(bar: Any) -> tuple[float, ...]:
    return tuple(bar[name] for name in ("time", "open", "high", "low", "close", "tick_volume", "spread"))


def _sum(parts: Any) -> tuple[float, ...]:
    """Put bars that follow each other together as anybody would."""
    first, last = parts[0], parts[-1]
    extremes = parts["high"].max(), parts["low"].min()
    return (first["time"], first["open"], *extremes, last["close"], parts["tick_volume"].sum(), parts["spread"].min())
