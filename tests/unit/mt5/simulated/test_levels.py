"""How far the market is from a level: counted in points, whatever floats make of prices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.mt5.simulated.dealing import levels
from worker.mt5.simulated.dealing.levels import Level
from worker.mt5.simulated.prices.prices import Quote
from worker.mt5.simulated.symbols import BASE, Instrument

BUY, SELL = 0, 1
ASK, BID = 0, 1
BUY_LIMIT, SELL_LIMIT, BUY_STOP, SELL_STOP, BUY_STOP_LIMIT, SELL_STOP_LIMIT = range(2, 8)


@given(
    instrument=st.sampled_from(list(BASE.values())),
    market=st.integers(1, 10**8),
    away=st.integers(-10_000, 10_000),
    side=st.sampled_from([ASK, BID]),
    rising=st.booleans(),
)
def test_the_distance_is_a_whole_number_of_points(
    instrument: Instrument, market: int, away: int, side: int, *, rising: bool
) -> None:
    scale = 10**instrument.digits
    here, there, nowhere = market / scale, (market + away) / scale, 0.0
    quote = Quote(bid=nowhere, ask=here, utc_msc=0) if side == ASK else Quote(bid=here, ask=nowhere, utc_msc=0)

    assert Level(side, there, rising).distance(quote, instrument) == (away if rising else -away)


@pytest.mark.parametrize(
    ("kind", "side", "rising"),
    [
        (BUY_LIMIT, ASK, False),
        (SELL_LIMIT, BID, True),
        (BUY_STOP, ASK, True),
        (SELL_STOP, BID, False),
        (BUY_STOP_LIMIT, ASK, True),
        (SELL_STOP_LIMIT, BID, False),
    ],
)
def test_what_each_kind_of_order_waits_for(kind: int, side: int, *, rising: bool) -> None:
    assert levels.of_order(kind, 1.5) == Level(side, 1.5, rising)


@pytest.mark.parametrize(("kind", "limit"), [(BUY_STOP_LIMIT, BUY_LIMIT), (SELL_STOP_LIMIT, SELL_LIMIT)])
def test_a_stop_limit_goes_on_as_a_limit_of_its_side(kind: int, limit: int) -> None:
    assert levels.of_stoplimit(kind, 1.5) == levels.of_order(limit, 1.5)


@pytest.mark.parametrize(("position", "side"), [(BUY, BID), (SELL, ASK)])
def test_a_position_is_watched_on_the_side_on_which_it_is_closed(position: int, side: int) -> None:
    sl, tp = levels.stops(position, 1.4, 1.6)

    assert sl == Level(side, 1.4, rising=position == SELL)
    assert tp == Level(side, 1.6, rising=position == BUY)
    assert levels.stops(position, 0.0, 0.0) == []
