"""The depth of market: offers above the bids, larger the further out, only for those who asked for it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from worker.mt5.simulated.package.depth import depth
from worker.mt5.simulated.prices.prices import quote
from worker.mt5.simulated.symbols import SYMBOLS

OPENED = 1_790_000_000_000


def test_offers_come_from_the_highest_down_then_bids_from_the_touch_down(mt5: Any) -> None:
    assert mt5.market_book_add("EURUSD") is True

    depth = mt5.market_book_get("EURUSD")

    assert [level.type for level in depth] == [mt5.BOOK_TYPE_SELL] * 5 + [mt5.BOOK_TYPE_BUY] * 5
    assert all(higher.price > lower.price for higher, lower in pairwise(depth))
    assert round(depth[4].price - depth[5].price, 5) == 0.00012, "the touch is the spread"
    assert all(level.volume == level.volume_dbl > 0 for level in depth)
    assert depth[0].volume > depth[4].volume
    assert depth[-1].volume > depth[5].volume


@pytest.mark.parametrize("name", ["EURUSD", "US500", "BTCUSD.wide", "USDJPY.crossed"])
def test_its_volumes_are_the_same_for_everybody_and_new_every_second(name: str) -> None:
    volumes = [_volumes(name, OPENED + later) for later in (0, 900, 1000, 2000)]

    assert volumes[0] == volumes[1]
    assert len(set(volumes)) == 3


def test_it_must_be_asked_for_first_and_can_be_given_up(mt5: Any) -> None:
    assert mt5.market_book_get("EURUSD") is None
    assert mt5.last_error() == (-4, "Terminal: Not found")

    mt5.market_book_add("EURUSD")
    assert mt5.market_book_release("EURUSD") is True

    assert mt5.market_book_get("EURUSD") is None


def test_without_prices_it_is_empty(mt5: Any) -> None:
    for name in ("EURUSD.notick", "EURUSD.slip"):  # the second is not in the Market Watch
        assert mt5.market_book_add(name) is True
        assert mt5.market_book_get(name) == ()
        assert mt5.last_error() == (1, "Success")


@pytest.mark.parametrize("function", ["market_book_add", "market_book_release"])
def test_an_unknown_symbol_is_false_and_no_symbol_at_all_is_none(mt5: Any, function: str) -> None:
    ask = getattr(mt5, function)

    assert ask("NOSUCH") is False
    assert mt5.last_error() == (-4, "Terminal: Not found")
    for arguments in ((5,), (), ("EURUSD", "GBPUSD")):
        assert ask(*arguments) is None
        assert mt5.last_error() == (-2, "Invalid arguments")
    mt5.shutdown()
    assert ask("EURUSD") is False
    assert mt5.last_error() == (-10004, "No IPC connection")


def _volumes(name: str, moment: int) -> tuple[int, ...]:
    now = quote(SYMBOLS[name], moment, OPENED)
    assert now is not None
    return tuple(level.volume for level in depth(SYMBOLS[name], now))
