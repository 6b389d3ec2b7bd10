"""What orders and positions reserve and earn: the formulas of the calculation modes, and their currencies."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mt5.simulated.dealer import BUY, SELL, Dealer
from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.behaviours import TABLE
from worker.mt5.simulated.money.account import affords, after, standing
from worker.mt5.simulated.money.margin import margin_of, order_margin
from worker.mt5.simulated.money.valuation import Holding, cents, profit_of
from worker.mt5.simulated.symbols import BASE, SYMBOLS, Symbol

GOLD = BASE["XAUUSD"]  # 100 ounces a lot, in dollars
PRICE = 2000.0
MODES = [
    ("FOREX", 1.0),  # 100 ounces / 100, and an ounce is worth what the market says
    ("FOREX_NO_LEVERAGE", 100.0),
    ("CFD", 200_000.0),
    ("CFDINDEX", 20_000_000.0),  # a tick is worth 1.00, a hundred times its size
    ("CFDLEVERAGE", 2_000.0),
    ("EXCH_STOCKS", 200_000.0),
    ("FUTURES", 0.0),
    ("EXCH_FUTURES", 0.0),
    ("SERV_COLLATERAL", 0.0),
]


def a_symbol(**changes: Any) -> Symbol:
    return Symbol("ANY", replace(GOLD, **changes), TABLE[""])


def mode(name: str) -> int:
    return int(getattr(mt5, f"SYMBOL_CALC_MODE_{name}"))


class TestOneOrder:
    @pytest.mark.parametrize(("name", "amount"), MODES)
    def test_every_calculation_mode_has_its_formula(self, dealer: Dealer, name: str, amount: float) -> None:
        symbol = a_symbol(calc_mode=mode(name))
        in_ounces = "FOREX" in name
        market = dealer.quote("XAUUSD").ask if in_ounces else 1.0

        assert order_margin(dealer.desk().market, symbol, 1.0, PRICE) == pytest.approx(amount * market, abs=0.01)

    @pytest.mark.parametrize("name", [name for name, _ in MODES])
    def test_an_initial_margin_replaces_every_formula(self, dealer: Dealer, name: str) -> None:
        symbol = a_symbol(calc_mode=mode(name), margin_initial=1500.0, base="USD")

        assert order_margin(dealer.desk().market, symbol, 0.5, PRICE) == 750.0

    def test_the_rate_of_a_symbol_multiplies_it(self, dealer: Dealer) -> None:
        assert order_margin(dealer.desk().market, a_symbol(margin_rate=0.5), 1.0, PRICE) == 1000.0

    @pytest.mark.parametrize("kind", range(2, 8))
    def test_a_pending_order_reserves_nothing(self, dealer: Dealer, kind: int) -> None:
        assert order_margin(dealer.desk().market, SYMBOLS["EURUSD"], 1.0, 1.0, kind) == 0.0

    def test_a_price_far_from_the_market_changes_nothing_where_the_margin_is_in_the_base_currency(
        self, dealer: Dealer
    ) -> None:
        margins = {order_margin(dealer.desk().market, SYMBOLS["EURUSD"], 1.0, price) for price in (0.5, 1.0, 2.0)}

        assert margins == {cents(1000 * dealer.quote("EURUSD").ask)}

    @pytest.mark.parametrize(("side", "touch"), [(BUY, "ask"), (SELL, "bid")])
    def test_it_is_converted_at_the_ask_to_buy_and_at_the_bid_to_sell(
        self, dealer: Dealer, side: int, touch: str
    ) -> None:
        euro = getattr(dealer.quote("EURUSD"), touch)

        assert order_margin(dealer.desk().market, SYMBOLS["EURJPY"], 2.0, 160.0, side) == cents(2000 * euro)

    def test_the_dollar_itself_is_not_converted(self, dealer: Dealer) -> None:
        assert order_margin(dealer.desk().market, SYMBOLS["USDJPY"], 1.0, 100.0) == 1000.0


class TestProfit:
    @pytest.mark.parametrize(("side", "sign", "touch"), [(BUY, 1, "bid"), (SELL, -1, "ask")])
    def test_yen_are_converted_at_the_market_of_the_closing_side(
        self, dealer: Dealer, side: int, sign: int, touch: str
    ) -> None:
        yen = getattr(dealer.quote("USDJPY"), touch)
        holding = Holding(side, 0.1, 0.1 * 164.0)

        profit = profit_of(dealer.desk().market, BASE["EURJPY"], holding, 165.0)

        assert profit == pytest.approx(sign * 10_000 / yen)

    def test_the_sample_of_the_documentation(self, dealer: Dealer) -> None:
        # 0.1 lots of USDJPY bought at 144.132 and closed at 144.124: 80 yen lost, 0.56 dollars at that rate
        yen = dealer.quote("USDJPY").bid

        profit = profit_of(dealer.desk().market, BASE["USDJPY"], Holding(BUY, 0.1, 0.1 * 144.132), 144.124)

        assert profit * yen / 144.124 == pytest.approx(-0.555, abs=0.001)

    def test_collateral_earns_nothing(self, dealer: Dealer) -> None:
        symbol = a_symbol(calc_mode=mode("SERV_COLLATERAL"))

        assert profit_of(dealer.desk().market, symbol.instrument, Holding(BUY, 1.0, 1.0), 2.0) == 0.0


class TestOppositePositions:
    BOUGHT, SOLD = Holding(BUY, 3.0, 6000.0), Holding(SELL, 1.0, 2400.0)  # at 2000 and at 2400

    @pytest.mark.parametrize(
        ("hedged", "margin"),
        [
            (100.0, 2 * 2000 + 2100),  # two lots at 2000, and a pair as one lot at the average of all: 2100
            (50.0, 2 * 2000 + 1050),
            (0.0, 2 * 2000),
        ],
    )
    def test_the_common_volume_counts_once_by_the_hedged_contract_size(
        self, dealer: Dealer, hedged: float, margin: float
    ) -> None:
        symbol = a_symbol(margin_hedged=hedged)

        assert margin_of(dealer.desk().market, symbol, [self.BOUGHT, self.SOLD]) == pytest.approx(margin)
        assert margin_of(dealer.desk().market, symbol, [self.SOLD, self.BOUGHT]) == pytest.approx(margin)

    def test_with_an_initial_margin_the_hedged_one_is_money_too(self, dealer: Dealer) -> None:
        symbol = a_symbol(margin_initial=500.0, margin_hedged=200.0)

        assert margin_of(dealer.desk().market, symbol, [self.BOUGHT, self.SOLD]) == pytest.approx(2 * 500 + 200)

    def test_a_pair_of_a_lot_bought_and_one_sold_needs_as_much_as_one(self, dealer: Dealer) -> None:
        dealer.buy("EURJPY", 1.0)
        one = standing(dealer.desk()).margin
        dealer.sell("EURJPY", 1.0)

        assert standing(dealer.desk()).margin == pytest.approx(one, rel=1e-3)


class TestAfterATrade:
    @pytest.mark.parametrize("margin_mode", [0, 2])
    @pytest.mark.parametrize("trades", [[(BUY, 0.4)], [(BUY, 0.4), (SELL, 0.1)], [(BUY, 0.4), (SELL, 0.9)]])
    def test_it_is_what_the_account_then_is(
        self, dealer: Dealer, margin_mode: int, trades: list[tuple[int, float]]
    ) -> None:
        dealer.book.change("UPDATE meta SET margin_mode = ?", (margin_mode,))
        for side, volume in trades:
            desk, symbol = dealer.desk(), SYMBOLS["XAUUSD"]
            price = desk.touch(symbol, side)
            expected = after(desk, symbol, Holding(side, volume, volume * price)).margin

            dealer.send(action=1, symbol="XAUUSD", type=side, volume=volume)

            assert standing(dealer.desk()).margin == pytest.approx(expected, abs=0.011)

    def test_closing_a_position_gives_its_margin_back(self, dealer: Dealer) -> None:
        ticket = dealer.buy("XAUUSD", 0.4).order
        desk, symbol = dealer.desk(), SYMBOLS["XAUUSD"]

        then = after(desk, symbol, Holding(SELL, 0.4, 0.4 * desk.touch(symbol, SELL)), ticket)

        assert (then.margin, then.margin_level) == (0.0, 0.0)

    def test_what_lowers_the_margin_is_affordable_without_any_money(self, dealer: Dealer) -> None:
        dealer.book.change("UPDATE meta SET margin_mode = 0")
        dealer.buy("XAUUSD", 0.4)
        dealer.book.change("UPDATE meta SET balance = 0")

        desk, symbol = dealer.desk(), SYMBOLS["XAUUSD"]

        assert affords(desk, symbol, Holding(SELL, 0.4, 960.0))
        assert not affords(desk, symbol, Holding(BUY, 0.4, 960.0))


@given(st.decimals(min_value=-1_000_000, max_value=1_000_000, places=6))
def test_cents_are_rounded_half_away_from_zero(amount: Decimal) -> None:
    assert Decimal(repr(cents(float(amount)))) == amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


@pytest.mark.parametrize(("name", "levels"), [("EURUSD", (5, 0)), ("XAUUSD", (20, 10))])
def test_a_symbol_shows_its_specification(mt5: Any, name: str, levels: tuple[int, int]) -> None:
    info, account = mt5.symbol_info(name), mt5.account_info()

    assert (info.trade_stops_level, info.trade_freeze_level) == levels
    assert (info.margin_hedged, info.ticks_bookdepth, info.swap_rollover3days) == (BASE[name].margin_hedged, 10, 3)
    assert (info.swap_mode, info.swap_long, info.swap_short) == (mt5.SYMBOL_SWAP_MODE_DISABLED, 0.0, 0.0)
    assert (account.limit_orders, account.margin_so_call, account.margin_so_so) == (200, 50.0, 30.0)
