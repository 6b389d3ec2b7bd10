"""Symbols and their ticks: specifications as brokers have them, and the Market Watch."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.unit.mt5.simulated.conftest import Customer
from worker.mt5.simulated.symbols import SYMBOLS, in_group

BUY, SELL, BUY_LIMIT = 0, 1, 2


class TestTicks:
    def test_time_is_the_server_s_wall_clock_two_hours_ahead(self, mt5: Any) -> None:
        tick = mt5.symbol_info_tick("EURUSD")

        assert tick.time_msc / 1000 - time.time() == pytest.approx(7200, abs=5)
        assert tick.time == tick.time_msc // 1000

    def test_the_offset_is_a_number_in_the_book(self, customer: Customer) -> None:
        customer.book("UPDATE meta SET server_offset_seconds = -18000")

        tick, reply = customer.mt5.symbol_info_tick("EURUSD"), customer.send("EURUSD")

        assert tick.time - time.time() == pytest.approx(-18000, abs=5)
        assert customer.history(reply.order).time_setup - time.time() == pytest.approx(-18000, abs=5)

    def test_a_live_feed_ticks_and_a_frozen_one_does_not(self, mt5: Any) -> None:
        mt5.symbol_select("EURUSD.stale", True)  # noqa: FBT003 - the package takes it by position only
        live, frozen = mt5.symbol_info_tick("EURUSD"), mt5.symbol_info_tick("EURUSD.stale")
        give_up = time.monotonic() + 10

        while mt5.symbol_info_tick("EURUSD").time_msc == live.time_msc:
            assert time.monotonic() < give_up

        assert mt5.symbol_info_tick("EURUSD.stale") == frozen

    def test_only_the_market_watch_has_prices(self, mt5: Any) -> None:
        assert mt5.symbol_info_tick("EURUSD.slip") is None
        assert not mt5.symbol_info("EURUSD.slip").select

        assert mt5.symbol_select("EURUSD.slip", True)  # noqa: FBT003 - the package takes it by position only
        assert mt5.symbol_info_tick("EURUSD.slip").bid == mt5.symbol_info("EURUSD.slip").bid > 0

        assert mt5.symbol_select("EURUSD.slip", False)  # noqa: FBT003 - the package takes it by position only
        assert mt5.symbol_info_tick("EURUSD.slip") is None


class TestMarketWatch:
    """What a program has put there, and by itself everything of which something is open."""

    @pytest.mark.parametrize("order", [{}, {"side": BUY_LIMIT, "action": 5, "price": 0.9}])
    def test_what_is_open_is_shown_to_a_program_that_has_just_begun(
        self, customer: Customer, order: dict[str, Any]
    ) -> None:
        # Given a position or an order of a symbol that is not shown by default
        customer.send("EURUSD.slip", **order)

        # When another program begins
        mt5 = Customer(customer.path).mt5

        # Then it sees the symbol's prices without asking for it, and nothing more than before of the others
        assert mt5.symbol_info_tick("EURUSD.slip").bid > 0
        assert mt5.symbol_info("EURUSD.slip").select
        shown = [info.name for info in mt5.symbols_get(group="EURUSD*") if info.select and info.bid]
        assert shown == ["EURUSD", "EURUSD.slip"]
        assert mt5.market_book_add("EURUSD.slip")
        assert len(mt5.market_book_get("EURUSD.slip")) == 10
        mt5.shutdown()

    def test_what_is_open_stays_until_it_is_over(self, customer: Customer) -> None:
        mt5, ticket = customer.mt5, customer.send("EURUSD.slip").order

        refused = mt5.symbol_select("EURUSD.slip", False)  # noqa: FBT003 - the package takes it by position only

        assert refused is False
        assert mt5.last_error() == (-1, "Terminal: Call failed")
        assert mt5.symbol_info_tick("EURUSD.slip")
        customer.send("EURUSD.slip", side=SELL, position=ticket)
        assert mt5.symbol_select("EURUSD.slip", False)  # noqa: FBT003 - the package takes it by position only
        assert mt5.symbol_info_tick("EURUSD.slip") is None

    @pytest.mark.parametrize("order", [{}, {"side": BUY_LIMIT, "action": 5, "price": 0.9}])
    def test_an_order_is_taken_without_it_and_shows_its_symbol(self, customer: Customer, order: dict[str, Any]) -> None:
        mt5, request = customer.mt5, customer.order("EURUSD.slip", **order)
        mt5.symbol_select("EURUSD.slip", False)  # noqa: FBT003 - the package takes it by position only

        checked, sent = mt5.order_check(request), mt5.order_send(request)

        assert (checked.retcode, sent.retcode) == (0, 10009)
        assert mt5.symbol_info("EURUSD.slip").select
        assert mt5.symbol_info_tick("EURUSD.slip")

    def test_a_program_that_has_just_begun_can_close_and_enlarge_what_is_open(self, customer: Customer) -> None:
        ticket = customer.send("EURUSD.slip").order
        mt5 = Customer(customer.path).mt5
        request = {"action": 1, "symbol": "EURUSD.slip", "volume": 0.1, "type_filling": 1}

        more = mt5.order_send(request | {"type": BUY})
        closed = mt5.order_send(request | {"type": SELL, "position": ticket})

        assert (more.retcode, closed.retcode) == (10009, 10009)
        mt5.shutdown()


class TestSpecifications:
    @pytest.mark.parametrize(
        ("symbol", "digits", "contract", "step"),
        [
            ("EURUSD", 5, 100000, 0.01),
            ("USDJPY", 3, 100000, 0.01),
            ("XAUUSD", 2, 100, 0.01),
            ("US500", 2, 1, 0.1),
            ("BTCUSD", 2, 1, 0.01),
            ("ETHUSD", 2, 1, 0.1),
        ],
    )
    def test_they_are_what_brokers_have(self, mt5: Any, symbol: str, digits: int, contract: int, step: float) -> None:
        info = mt5.symbol_info(symbol)

        assert (info.name, info.digits, info.trade_contract_size, info.volume_step) == (symbol, digits, contract, step)
        assert info.point == pytest.approx(10**-digits)
        assert info.trade_mode == mt5.SYMBOL_TRADE_MODE_FULL
        assert info.trade_exemode == (
            1 if info.trade_calc_mode in (0, 4) else 2
        )  # pairs and gold: instant; others: market
        assert info.filling_mode == 3  # fill-or-kill and immediate-or-cancel
        assert info.spread == round((info.ask - info.bid) / info.point)

    def test_an_index_may_tick_in_more_than_its_last_digit(self, mt5: Any) -> None:
        info = mt5.symbol_info("US500")

        assert (info.point, info.trade_tick_size, info.trade_tick_value) == (0.01, 0.1, pytest.approx(0.1))

    def test_a_suffix_changes_behaviour_and_not_the_instrument(self, mt5: Any) -> None:
        plain, suffixed = (mt5.symbol_info(name)._asdict() for name in ("XAUUSD", "XAUUSD.multi"))

        assert suffixed["name"] == "XAUUSD.multi"
        assert {key for key in plain if plain[key] != suffixed[key]} <= {
            *("name", "path", "select", "visible", "bid", "ask", "spread", "time"),
            *("bidhigh", "bidlow", "askhigh", "asklow", "session_open", "session_close", "price_change"),
        }


class TestGroups:
    @pytest.mark.parametrize(
        ("group", "within", "without"),
        [
            ("*", "EURUSD", ""),
            ("EURUSD", "EURUSD", "EURUSD.slip"),
            ("*USD*", "EURUSD.slip", "EURJPY"),
            ("*,!*JPY*", "EURUSD", "USDJPY"),
            ("!*,EURUSD", "EURUSD", "GBPUSD"),
            ("US500*", "US500.late", "EURUSD"),
        ],
    )
    def test_masks_apply_in_order(self, mt5: Any, group: str, within: str, without: str) -> None:
        names = {info.name for info in mt5.symbols_get(group=group)}

        assert within in names
        assert without not in names
        assert names == {info.name for info in mt5.symbols_get(group)} == in_group(group)

    def test_all_of_them_can_be_counted(self, mt5: Any) -> None:
        assert mt5.symbols_total() == len(mt5.symbols_get()) == len(SYMBOLS)
