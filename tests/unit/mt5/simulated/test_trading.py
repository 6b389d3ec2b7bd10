"""What the server checks before it executes, and what executions do to positions and money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.mt5.simulated.behaviours import Fill
from worker.mt5.simulated.dealing.fills import _sizes
from worker.mt5.simulated.symbols import BASE, Instrument

if TYPE_CHECKING:
    from tests.unit.mt5.simulated.conftest import Customer

BUY, SELL, BUY_LIMIT = 0, 1, 2


class TestRefusals:
    @pytest.mark.parametrize(
        ("symbol", "volume"),
        [
            ("EURUSD", 0.0),
            ("EURUSD", 0.001),
            ("EURUSD", 0.015),
            ("EURUSD", 100.01),
            ("EURUSD", -0.1),
            ("EURUSD", float("nan")),
            ("EURUSD", float("inf")),
            ("US500", 0.15),
            ("US500", 0.05),
            ("BTCUSD", 10.01),
        ],
    )
    def test_a_volume_must_be_on_the_step_and_within_the_limits(
        self, customer: Customer, symbol: str, volume: float
    ) -> None:
        assert customer.send(symbol, volume).retcode == 10014

    def test_a_symbol_may_be_limited_in_all(self, customer: Customer) -> None:
        codes = [customer.send("BTCUSD", 10.0).retcode for _ in range(51)]

        assert codes == [10009] * 50 + [10034]
        assert customer.send("BTCUSD", 10.0, SELL).retcode == 10009

    @pytest.mark.parametrize("change", [{"action": 0}, {"action": 2**31}, {"type": 2}, {"type": 8}, {"symbol": "NOPE"}])
    def test_what_makes_no_sense_is_refused_and_not_ignored(self, customer: Customer, change: dict[str, Any]) -> None:
        request = customer.order("EURUSD") | change

        assert customer.mt5.order_send(request).retcode == customer.mt5.order_check(request).retcode == 10013
        assert customer.book("SELECT * FROM orders") == []

    @pytest.mark.parametrize(
        ("symbol", "filling", "code"),
        [
            ("EURUSD", 0, 10009),
            ("EURUSD", 1, 10009),
            ("EURUSD", 2, 10009),  # instant execution takes RETURN whatever the symbol's flags say
            ("EURUSD", 3, 10030),
            ("EURUSD", 4, 10030),
            ("BTCUSD", 0, 10009),
            ("BTCUSD", 1, 10009),
            ("BTCUSD", 2, 10030),  # market execution fills market orders at once or not at all
            ("BTCUSD", 3, 10030),
        ],
    )
    def test_filling_follows_execution_mode_and_flags(
        self, customer: Customer, symbol: str, filling: int, code: int
    ) -> None:
        assert customer.send(symbol, type_filling=filling).retcode == code

    def test_market_execution_looks_at_neither_price_nor_deviation(self, customer: Customer) -> None:
        assert customer.send("BTCUSD", price=1.0, deviation=0).retcode == 10009

    def test_what_the_terminal_refuses_by_itself_shows_nothing_and_is_not_counted(self, customer: Customer) -> None:
        refused = customer.send("EURUSD", 0.001)
        first, second = customer.send("EURUSD"), customer.send("EURUSD", price=1.0, deviation=0)

        assert (refused.retcode, refused.volume, refused.bid, refused.ask, refused.request_id) == (10014, 0, 0, 0, 0)
        assert (first.request_id, second.request_id) == (1, 2)
        assert (second.retcode, second.bid > 0, second.price) == (10004, True, 0.0)

    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_a_price_further_away_than_the_deviation_is_requoted(self, customer: Customer, side: int) -> None:
        tick = customer.mt5.symbol_info_tick("EURUSD")
        better, touch = (-1, tick.ask) if side == BUY else (1, tick.bid)

        def code(points: int, deviation: int) -> int:
            price = touch + better * points * 0.00001
            return int(customer.send("EURUSD", side=side, price=price, deviation=deviation).retcode)

        assert code(points=200, deviation=100) == 10004
        assert code(points=200, deviation=300) == 10009
        assert code(points=-200, deviation=0) == 10009  # the market is better than what was asked

    @pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_what_is_no_price_is_refused(self, customer: Customer, side: int, price: float) -> None:
        assert customer.send("EURUSD", side=side, price=price).retcode == 10015

    def test_an_account_without_money_is_refused(self, customer: Customer) -> None:
        customer.book("UPDATE meta SET balance = 100")

        assert customer.send("EURUSD", 0.1).retcode == 10019
        assert customer.send("EURUSD", 0.01).retcode == 10009

    def test_an_order_that_is_not_open_cannot_be_cancelled(self, customer: Customer) -> None:
        filled = customer.send("EURUSD").order

        assert [customer.cancel(ticket).retcode for ticket in (filled, 1)] == [10013, 10013]


class TestMoney:
    def test_the_account_begins_with_a_balance_deal(self, customer: Customer) -> None:
        (deal,) = customer.mt5.history_deals_get(0, 2_000_000_000)

        assert (deal.type, deal.profit, deal.order, deal.symbol) == (customer.mt5.DEAL_TYPE_BALANCE, 1e9, 0, "")
        assert customer.mt5.account_info().balance == 1e9

    @pytest.mark.parametrize(
        ("symbol", "margin"),
        [("EURUSD", 1085), ("USDJPY", 1000), ("EURJPY", 1085), ("XAUUSD", 2400), ("US500", 260), ("BTCUSD", 32_500)],
    )
    def test_margin_follows_the_calculation_mode(self, mt5: Any, symbol: str, margin: float) -> None:
        tick = mt5.symbol_info_tick(symbol)

        assert mt5.order_calc_margin(BUY, symbol, 1.0, tick.ask) == pytest.approx(margin, rel=0.01)

    @pytest.mark.parametrize(
        ("symbol", "opened", "closed", "profit"),
        [("EURUSD", 1.08, 1.09, 1000), ("USDJPY", 151.0, 152.0, 661), ("XAUUSD", 2400.0, 2401.0, 100)],
    )
    def test_profit_is_in_the_account_s_currency(
        self, mt5: Any, symbol: str, opened: float, closed: float, profit: float
    ) -> None:
        gain = mt5.order_calc_profit(BUY, symbol, 1.0, opened, closed)

        assert gain == pytest.approx(profit, rel=0.01)
        assert mt5.order_calc_profit(SELL, symbol, 1.0, opened, closed) == pytest.approx(-gain, rel=0.001)

    def test_everything_adds_up(self, customer: Customer) -> None:
        for symbol in ("EURUSD", "USDJPY", "XAUUSD.multi", "BTCUSD.partial"):
            for side in (BUY, SELL):
                customer.send(symbol, 0.5, side)

        account, positions = customer.mt5.account_info(), customer.mt5.positions_get()
        (sums,) = customer.book("SELECT sum(profit + commission + swap + fee) AS balance FROM deals")
        assert len(positions) == 8
        assert account.balance == pytest.approx(sums["balance"], abs=0.01)
        assert account.profit == pytest.approx(sum(row.profit for row in positions), abs=20)
        assert account.equity == pytest.approx(account.balance + account.profit, abs=0.01)
        assert account.margin_free == pytest.approx(account.equity - account.margin, abs=0.01)

    def test_a_deal_costs_its_commission(self, customer: Customer) -> None:
        (deal,) = customer.deals(customer.send("EURUSD", 2.0).order)

        assert deal.commission == -7.0
        assert customer.mt5.account_info().balance == 1e9 - 7

    def test_the_check_tells_what_the_margin_would_be(self, customer: Customer) -> None:
        before = customer.mt5.account_info()

        checked = customer.mt5.order_check(customer.order("EURUSD", 1.0))

        assert (checked.retcode, checked.comment) == (0, "Done")
        assert checked.margin == pytest.approx(before.margin + 1085, rel=0.01)
        assert checked.margin_free == pytest.approx(before.margin_free - checked.margin)


class TestVolumesWithTheNoiseOfFloats:
    @pytest.mark.parametrize("noisy", [0.1 * 3, 0.7 - 0.4, sum([0.01] * 30)])
    def test_lots_that_were_calculated_open_and_close_as_those_that_were_meant(
        self, customer: Customer, noisy: float
    ) -> None:
        # Given a volume that is 0.3 but for its last bits
        assert noisy != 0.3

        # When a position is opened and closed with it
        opened = customer.send("EURUSD", noisy)
        closed = customer.send("EURUSD", noisy, SELL, position=opened.order)

        # Then both are done whole, the broker knows 0.3 lots, and the replies' request is the program's own
        assert [(reply.retcode, reply.volume) for reply in (opened, closed)] == [(10009, 0.3)] * 2
        assert [reply.request.volume for reply in (opened, closed)] == [noisy] * 2
        assert customer.book("SELECT DISTINCT volume_initial FROM orders") == [{"volume_initial": 0.3}]
        assert customer.mt5.positions_get() == ()

    def test_the_least_volume_may_come_out_a_bit_below_itself(self, customer: Customer) -> None:
        least = 0.03 - 0.02
        assert least < 0.01

        request = customer.order("EURUSD", least)

        assert customer.mt5.order_check(request).retcode == 0
        assert customer.mt5.order_send(request).retcode == 10009

    def test_a_pending_order_is_placed_with_what_was_meant(self, customer: Customer) -> None:
        placed = customer.send("EURUSD", 0.1 * 3, BUY_LIMIT, action=5, price=0.9)

        (order,) = customer.mt5.orders_get()
        assert (placed.retcode, placed.volume, order.volume_initial, order.volume_current) == (10009, 0.3, 0.3, 0.3)


@given(st.sampled_from(list(BASE.values())), st.integers(min_value=-5, max_value=20_000), st.data())
def test_a_volume_means_the_step_it_is_next_to_and_otherwise_itself(
    instrument: Instrument, steps: int, data: st.DataObject
) -> None:
    lots = instrument.lots(steps)

    noise = data.draw(st.floats(min_value=-1e-12, max_value=1e-12))
    between = data.draw(st.floats(min_value=0.01, max_value=0.99)) * instrument.volume_step

    if instrument.volume_min <= lots <= instrument.volume_max:
        assert instrument.meant(lots + noise) == lots
    assert instrument.meant(lots + between) == lots + between


class TestPositions:
    def test_on_a_hedging_account_an_opposite_order_opens_a_second_one(self, customer: Customer) -> None:
        customer.send("EURUSD", 0.2, BUY)
        customer.send("EURUSD", 0.2, SELL)

        assert sorted(row.type for row in customer.mt5.positions_get()) == [BUY, SELL]

    def test_a_position_is_closed_by_its_ticket(self, customer: Customer) -> None:
        ticket = customer.send("EURUSD", 0.3, BUY).order

        wrong = customer.send("EURUSD", 0.1, BUY, position=ticket), customer.send("EURUSD", 0.4, SELL, position=ticket)
        half = customer.send("EURUSD", 0.1, SELL, position=ticket)
        (left,) = customer.mt5.positions_get(ticket=ticket)
        rest = customer.send("EURUSD", 0.2, SELL, position=ticket)

        assert [reply.retcode for reply in (*wrong, half, rest)] == [10013, 10038, 10009, 10009]
        assert left.volume == 0.2
        assert customer.mt5.positions_get() == ()
        (deal,) = customer.deals(rest.order)
        assert (deal.entry, deal.position_id) == (customer.mt5.DEAL_ENTRY_OUT, ticket)
        assert deal.profit < 0  # the spread
        assert customer.send("EURUSD", 0.1, SELL, position=ticket).retcode == 10036
        assert len(customer.mt5.history_deals_get(position=ticket)) == 3
        assert len(customer.mt5.history_orders_get(position=ticket)) == 3

    def test_on_a_netting_account_a_symbol_has_one_position(self, customer: Customer) -> None:
        customer.book("UPDATE meta SET margin_mode = 0")
        first = customer.send("EURUSD", 0.2, BUY)
        customer.send("EURUSD", 0.2, BUY)
        (grown,) = customer.mt5.positions_get()
        reversing = customer.send("EURUSD", 0.5, SELL)
        (reversed_,) = customer.mt5.positions_get()
        closing = customer.send("EURUSD", 0.1, BUY)

        assert (grown.volume, grown.identifier) == (0.4, first.order)
        assert (reversed_.type, reversed_.volume) == (SELL, 0.1)
        assert [customer.deals(reply.order)[0].entry for reply in (reversing, closing)] == [2, 1]
        assert customer.mt5.positions_get() == ()
        account = customer.mt5.account_info()
        assert account.margin == pytest.approx(0, abs=0.01)
        assert account.profit == pytest.approx(0, abs=0.01)


@given(st.sampled_from(Fill), st.integers(min_value=1, max_value=100_000))
def test_however_it_is_split_no_more_is_filled_than_was_asked_for(behaviour: Fill, steps: int) -> None:
    sizes = _sizes(behaviour, steps)

    assert all(size > 0 for size in sizes)
    assert sum(sizes) <= steps
    if behaviour is Fill.PARTIAL and steps > 1:
        assert sum(sizes) < steps
    if behaviour is not Fill.PARTIAL:
        assert sum(sizes) == steps


class TestPendingOrdersAtTheTerminal:
    def test_an_open_order_shows_the_market_of_the_moment(self, customer: Customer) -> None:
        placed = customer.send("EURUSD", side=BUY_LIMIT, action=5, price=0.9)

        (order,) = customer.mt5.orders_get()

        assert (order.ticket, order.state, order.price_open) == (placed.order, 1, 0.9)
        assert order.price_current == pytest.approx(customer.mt5.symbol_info_tick("EURUSD").ask, abs=0.0005)
        assert customer.book("SELECT type, magic FROM orders") == [{"type": BUY_LIMIT, "magic": order.magic}]

    def test_the_check_looks_at_every_kind_of_request_and_changes_nothing(self, customer: Customer) -> None:
        mt5 = customer.mt5
        position, order = customer.send("EURUSD").order, customer.send("EURUSD", side=BUY_LIMIT, action=5, price=0.9)
        opposite = customer.send("EURUSD", side=SELL).order
        account = mt5.account_info()
        requests: list[dict[str, Any]] = [
            customer.order("EURUSD", side=BUY_LIMIT, action=5, price=0.95),
            {"action": 6, "position": position, "sl": 0.9},
            {"action": 7, "order": order.order, "price": 0.8},
            {"action": 8, "order": order.order},
            {"action": 10, "position": position, "position_by": opposite},
        ]
        before = [customer.book(f"SELECT * FROM {table}") for table in ("orders", "deals", "positions", "schedule")]  # noqa: S608 - constants

        for request in requests:
            checked = mt5.order_check(request)
            assert (checked.retcode, checked.comment, checked.balance) == (0, "Done", account.balance)
            assert checked.margin == pytest.approx(account.margin, rel=0.01)

        assert before == [
            customer.book(f"SELECT * FROM {table}")  # noqa: S608 - constants
            for table in ("orders", "deals", "positions", "schedule")
        ]

    def test_a_refused_check_says_nothing_about_the_account(self, customer: Customer) -> None:
        checked = customer.mt5.order_check(customer.order("EURUSD", sl=9.0))

        assert (checked.retcode, checked.comment) == (10016, "Invalid stops")
        assert (checked.balance, checked.equity, checked.margin, checked.margin_free) == (0.0, 0.0, 0.0, 0.0)

    def test_a_lost_reply_leaves_the_placed_order(self, customer: Customer) -> None:
        assert customer.send("EURUSD.lostreply", side=BUY_LIMIT, action=5, price=0.9) is None
        assert customer.mt5.last_error()[0] == -10002
        customer.mt5.initialize()

        assert [order.symbol for order in customer.mt5.orders_get()] == ["EURUSD.lostreply"]

    def test_a_pending_order_is_never_requoted(self, customer: Customer) -> None:
        codes = [
            customer.send(symbol, side=BUY_LIMIT, action=5, price=0.9).retcode
            for symbol in ("EURUSD.requote", "EURUSD.jump")
        ]

        assert codes == [10009, 10009]
