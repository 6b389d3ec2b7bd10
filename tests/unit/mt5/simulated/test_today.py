"""The day so far, as `symbol_info` tells it: the same figures as the day's bar."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.prices import timeframes
from worker.mt5.simulated.prices.bars import bars
from worker.mt5.simulated.prices.prices import quote
from worker.mt5.simulated.prices.series import Tape
from worker.mt5.simulated.prices.today import today
from worker.mt5.simulated.symbols import SYMBOLS

OPENED = 1_790_000_000_000
names = st.sampled_from(["EURUSD", "USDJPY.wide", "XAUUSD", "US500.crossed", "BTCUSD"])


def the_bar(name: str, moment: int, offset: int) -> Any:
    """Return the day's bar and the one before it as they are at a moment."""
    tape = Tape(SYMBOLS[name], OPENED, offset, moment // 100 + 1)
    number = timeframes.bar_of(mt5.TIMEFRAME_D1, moment // 1000 + offset)
    return bars(tape, mt5.TIMEFRAME_D1, number - 1, number + 1)


class TestToday:
    @settings(max_examples=15)
    @given(names, st.integers(OPENED - 10**10, OPENED + 10**10), st.sampled_from([7200, 0, -18_000]))
    def test_it_is_what_the_day_s_bar_says(self, name: str, moment: int, offset: int) -> None:
        symbol = SYMBOLS[name]
        now: Any = quote(symbol, moment, OPENED)

        day = today(symbol, now, OPENED, offset)

        before, bar = the_bar(name, moment, offset)
        assert (day["bidhigh"], day["bidlow"], day["session_open"]) == (bar["high"], bar["low"], bar["open"])
        assert day["session_close"] == before["close"]
        assert day["price_change"] == round((now.bid / before["close"] - 1) * 100, 4)
        assert round(day["askhigh"] - day["bidhigh"], 6) == round(day["asklow"] - day["bidlow"], 6)

    @settings(max_examples=15)
    @given(st.lists(st.integers(0, 80_000_000), min_size=2, max_size=3))
    def test_questions_in_any_order_get_the_answer_of_their_moment(self, laters: list[int]) -> None:
        midnight = OPENED - OPENED % 86_400_000
        for moment in [midnight + later for later in laters]:
            now: Any = quote(SYMBOLS["GBPUSD"], moment, OPENED)

            day = today(SYMBOLS["GBPUSD"], now, OPENED, 0)

            _, bar = the_bar("GBPUSD", moment, 0)
            assert (day["bidhigh"], day["bidlow"]) == (bar["high"], bar["low"])


def test_symbol_info_shows_it(mt5: Any) -> None:
    info = mt5.symbol_info("ETHUSD")

    assert info.bidlow <= info.bid <= info.bidhigh
    assert info.asklow <= info.ask <= info.askhigh
    assert info.bidlow <= info.session_open <= info.bidhigh
    assert info.price_change == round((info.bid / info.session_close - 1) * 100, 4)
    assert mt5.symbol_info("ETHUSD.notick").bidhigh == mt5.symbol_info("ETHUSD.slip").bidhigh == 0
