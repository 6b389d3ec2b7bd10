"""Every suffix, told from outside: what the reply says, what a look-up shows, what the book knows."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from worker.domain.token import attempt_token, base_token

if TYPE_CHECKING:
    from tests.unit.mt5.simulated.conftest import Customer

BUY, SELL = 0, 1
EVER = (0, 2_000_000_000)
CONTRACT = (
    " slip partial multi pending slow race late requote reject timeout lostreply notsent neversent hang hangnot hidden "
    "nocomment nohistory closed disabled closeonly wide stale notick crossed nomargin jump"
)


def test_the_suffixes_are_those_of_the_contract_on_every_base_symbol(mt5: Any) -> None:
    names = {info.name for info in mt5.symbols_get()}
    bases = ["EURUSD", "GBPUSD", "AUDUSD", "USDJPY", "EURJPY", "XAUUSD", "US500", "BTCUSD", "ETHUSD"]

    assert names == {base + suffix for base in bases for suffix in ["", *("." + one for one in CONTRACT.split())]}


def test_only_who_executes_at_the_market_executes_parts(mt5: Any) -> None:
    parts, whole = mt5.symbol_info("EURUSD.partial"), mt5.symbol_info("EURUSD.slip")

    assert parts.trade_exemode == mt5.SYMBOL_TRADE_EXECUTION_MARKET
    assert whole.trade_exemode == mt5.SYMBOL_TRADE_EXECUTION_INSTANT


class TestFilled:
    @pytest.mark.parametrize(("side", "touch"), [(BUY, "ask"), (SELL, "bid")])
    def test_an_ordinary_order_is_filled_at_the_touch(self, customer: Customer, side: int, touch: str) -> None:
        magic = customer.token()

        reply = customer.send("EURUSD", 0.25, side, magic=magic)

        assert (reply.retcode, reply.volume, reply.price) == (10009, 0.25, getattr(reply, touch))
        order = customer.history(reply.order)
        assert (order.state, order.volume_initial, order.volume_current) == (4, 0.25, 0.0)
        (deal,) = customer.deals(reply.order)
        assert (deal.ticket, deal.magic, deal.comment) == (reply.deal, magic, "ours")
        assert (deal.price, deal.volume, deal.entry) == (reply.price, 0.25, 0)
        (position,) = customer.mt5.positions_get(symbol="EURUSD")
        assert (position.identifier, position.volume, position.type) == (deal.position_id, 0.25, side)

    @pytest.mark.parametrize("symbol", ["EURUSD", "USDJPY", "XAUUSD", "US500", "BTCUSD"])
    @pytest.mark.parametrize("side", [BUY, SELL])
    def test_slip_fills_three_pips_worse(self, customer: Customer, symbol: str, side: int) -> None:
        pips = {"EURUSD": "0.0001", "USDJPY": "0.01", "XAUUSD": "0.1", "US500": "0.1", "BTCUSD": "1"}

        reply = customer.send(symbol + ".slip", 0.2, side)

        touch = Decimal(str(reply.bid if side else reply.ask))
        worse = Decimal(str(reply.price)) - touch
        assert (-worse if side else worse) == 3 * Decimal(pips[symbol])

    @pytest.mark.parametrize(("volume", "filled"), [(0.5, 0.3), (0.02, 0.01), (0.07, 0.04), (100.0, 60.0)])
    def test_partial_fills_sixty_percent_and_cancels_the_rest(
        self, customer: Customer, volume: float, filled: float
    ) -> None:
        reply = customer.send("EURUSD.partial", volume)

        assert (reply.retcode, reply.volume) == (10010, filled)
        order = customer.history(reply.order)
        assert (order.state, order.volume_current) == (2, round(volume - filled, 8))
        assert customer.executed("EURUSD.partial") == filled
        assert customer.mt5.orders_get(symbol="EURUSD.partial") == ()

    def test_multi_needs_three_deals_at_three_prices(self, customer: Customer) -> None:
        reply = customer.send("GBPUSD.multi", 0.1)

        deals = customer.deals(reply.order)
        assert [deal.volume for deal in deals] == [0.03, 0.03, 0.04]
        assert len({deal.price for deal in deals}) == 3
        assert customer.history(reply.order).state == 4
        average = sum(deal.volume * deal.price for deal in deals) / 0.1
        (position,) = customer.mt5.positions_get(symbol="GBPUSD.multi")
        assert (position.volume, position.price_open) == (0.1, pytest.approx(average))
        assert reply.price == pytest.approx(average, abs=1e-5)

    def test_a_single_step_can_be_neither_split_nor_partly_filled(self, customer: Customer) -> None:
        partial, multi = customer.send("EURUSD.partial", 0.01), customer.send("EURUSD.multi", 0.01)

        assert (partial.retcode, multi.retcode) == (10009, 10009)
        assert len(customer.deals(multi.order)) == 1

    def test_nocomment_keeps_the_magic_only(self, customer: Customer) -> None:
        magic = customer.token()

        reply = customer.send("EURUSD.nocomment", magic=magic, comment="mw0abc")

        rows = [customer.history(reply.order), *customer.deals(reply.order), *customer.mt5.positions_get()]
        assert [row.magic for row in rows] == [magic] * 3
        assert not any("mw0abc" in row.comment for row in rows)

    def test_wide_shows_a_spread_of_fifty_pips(self, customer: Customer) -> None:
        customer.mt5.symbol_select("EURUSD.wide", True)  # noqa: FBT003 - the package takes it by position only

        tick = customer.mt5.symbol_info_tick("EURUSD.wide")

        assert tick.ask - tick.bid == pytest.approx(0.0050)


class TestAccepted:
    def test_pending_stays_open_until_it_is_cancelled(self, customer: Customer) -> None:
        reply = customer.send("EURUSD.pending")
        customer.time_passes(3600)

        (open_order,) = customer.mt5.orders_get(ticket=reply.order)
        assert (reply.retcode, reply.deal, open_order.state, open_order.time_done) == (10008, 0, 1, 0)
        assert customer.mt5.history_orders_get(ticket=reply.order) == ()

        assert customer.cancel(reply.order).retcode == 10009
        assert customer.mt5.orders_total() == 0
        assert customer.history(reply.order).state == 2
        assert customer.executed("EURUSD.pending") == 0

    def test_slow_is_filled_two_seconds_later_at_the_time_and_price_of_that_moment(self, customer: Customer) -> None:
        reply = customer.send("EURUSD.slow")
        (due,) = customer.book("SELECT due_utc_msc, time_setup_msc FROM schedule, orders WHERE event = 'fill'")

        assert reply.retcode == 10008
        assert due["due_utc_msc"] + 7_200_000 == due["time_setup_msc"] + 2000
        customer.time_passes(0.5)
        assert customer.deals(reply.order) == []

        customer.time_passes(1.5)

        (deal,) = customer.deals(reply.order)
        assert deal.time_msc == due["time_setup_msc"]  # time was moved by exactly those two seconds
        assert customer.history(reply.order).time_done_msc == deal.time_msc
        assert customer.mt5.orders_total() == 0

    def test_a_slow_order_can_still_be_cancelled_before_its_time(self, customer: Customer) -> None:
        reply = customer.send("EURUSD.slow")

        assert customer.cancel(reply.order).retcode == 10009
        customer.time_passes(10)

        assert customer.history(reply.order).state == 2
        assert customer.executed("EURUSD.slow") == 0

    def test_race_fills_in_the_moment_of_the_cancel_and_refuses_it(self, customer: Customer) -> None:
        reply = customer.send("EURUSD.race", 0.3)
        customer.time_passes(3600)
        assert customer.executed("EURUSD.race") == 0

        refused = customer.cancel(reply.order)

        assert refused.retcode == 10023
        assert customer.history(reply.order).state == 4
        assert sum(deal.volume for deal in customer.deals(reply.order)) == 0.3
        assert customer.cancel(reply.order).retcode == 10013

    def test_late_confirms_the_cancel_and_deals_three_seconds_afterwards(self, customer: Customer) -> None:
        reply = customer.send("EURUSD.late", 0.3)

        assert customer.cancel(reply.order).retcode == 10009
        cancelled = customer.history(reply.order)
        assert (cancelled.state, cancelled.volume_current, customer.deals(reply.order)) == (2, 0.3, [])

        customer.time_passes(1)
        assert customer.deals(reply.order) == []
        customer.time_passes(2)

        (deal,) = customer.deals(reply.order)
        assert (deal.volume, customer.history(reply.order).state) == (0.3, 2)
        assert [row.volume for row in customer.mt5.positions_get(symbol="EURUSD.late")] == [0.3]


class TestFilledBitByBit:
    """Anybody may write deals into the broker's schedule: of an open order, of one that is filled by itself, late."""

    def test_an_order_stays_open_until_its_last_lot_is_dealt(self, customer: Customer) -> None:
        reply = customer.send("EURUSD.pending", 0.5)
        for lots in (0.2, 0.1, None):
            customer.deal_later(reply.order, lots)
            customer.time_passes(1)
            customer.mt5.orders_total()

            order = customer.book("SELECT * FROM orders")[0]
            left = round(0.5 - customer.executed("EURUSD.pending"), 8)
            assert (order["volume_current"], order["state"]) == (left, 3 if left else 4)
            assert customer.mt5.orders_total() == (1 if left else 0)

        assert [deal.volume for deal in customer.deals(reply.order)] == [0.2, 0.1, 0.2]
        (position,) = customer.mt5.positions_get(symbol="EURUSD.pending")
        assert (position.volume, position.identifier) == (0.5, customer.history(reply.order).position_id)

    def test_no_more_is_dealt_than_the_order_asked_for(self, customer: Customer) -> None:
        reply = customer.send("EURUSD.pending", 0.5)
        for lots in (0.4, 0.4, 0.4, None):
            customer.deal_later(reply.order, lots)
        customer.time_passes(1)

        assert [deal.volume for deal in customer.deals(reply.order)] == [0.4, 0.1]

    def test_a_cancel_leaves_what_was_dealt_and_a_deal_may_still_follow(self, customer: Customer) -> None:
        reply = customer.send("EURUSD.late", 0.5)
        customer.deal_later(reply.order, 0.2)
        customer.time_passes(1)

        assert customer.cancel(reply.order).retcode == 10009
        cancelled = customer.history(reply.order)
        assert (cancelled.state, cancelled.volume_current) == (2, 0.3)
        customer.time_passes(3)

        assert [deal.volume for deal in customer.deals(reply.order)] == [0.2, 0.3]
        order = customer.history(reply.order)
        assert (order.state, order.volume_current) == (2, 0.3), "the order keeps saying that it was cancelled"

    def test_what_is_left_of_a_race_is_filled_in_the_moment_of_the_cancel(self, customer: Customer) -> None:
        reply = customer.send("EURUSD.race", 0.5)
        customer.deal_later(reply.order, 0.2)
        customer.time_passes(1)

        assert customer.cancel(reply.order).retcode == 10023

        assert [deal.volume for deal in customer.deals(reply.order)] == [0.2, 0.3]
        assert (customer.history(reply.order).state, customer.history(reply.order).volume_current) == (4, 0.0)

    @pytest.mark.parametrize(("lots", "deals"), [(0.2, [0.2, 0.3]), (None, [0.5])])
    def test_a_slow_order_is_filled_with_what_is_left_of_it(
        self, customer: Customer, lots: float | None, deals: list[float]
    ) -> None:
        reply = customer.send("EURUSD.slow", 0.5)
        customer.deal_later(reply.order, lots)
        customer.time_passes(2)

        assert [deal.volume for deal in customer.deals(reply.order)] == deals
        assert customer.history(reply.order).state == 4

    def test_a_deal_may_come_to_light_after_a_younger_one(self, customer: Customer) -> None:
        reply = customer.send("EURUSD.pending", 0.5)
        customer.deal_later(reply.order, 0.2)
        customer.time_passes(1)
        (younger,) = customer.deals(reply.order)
        customer.deal_later(reply.order, 0.1, seconds=-60)

        first, second = customer.deals(reply.order)

        assert (first.volume, second) == (0.1, younger)
        assert first.ticket > second.ticket


class TestRefused:
    def test_requote_twice_for_each_trade_then_filled(self, customer: Customer) -> None:
        first, other = base_token(7, 1001), base_token(7, 1002)

        codes = [customer.send("EURUSD.requote", magic=attempt_token(first, n)).retcode for n in (1, 2, 3)]
        others = [customer.send("EURUSD.requote", magic=attempt_token(other, n)).retcode for n in (1, 2, 3)]

        assert codes == others == [10004, 10004, 10009]
        assert len(customer.book("SELECT * FROM orders")) == 2

    def test_reject_refuses_every_time_and_writes_nothing(self, customer: Customer) -> None:
        codes = {customer.send("EURUSD.reject").retcode for _ in range(4)}

        assert codes == {10006}
        assert customer.book("SELECT * FROM orders") == []

    @pytest.mark.parametrize(
        ("suffix", "checked", "sent"),
        [
            ("closed", 10018, 10018),
            ("disabled", 10017, 10017),
            ("closeonly", 10044, 10044),
            ("nomargin", 10019, 10019),
            ("stale", 10021, 10021),
            ("notick", 10021, 10021),
            ("crossed", 10021, 10021),
            ("reject", 0, 10006),
        ],
    )
    def test_the_check_before_a_send_sees_what_the_send_would_meet(
        self, customer: Customer, suffix: str, checked: int, sent: int
    ) -> None:
        request = customer.order("EURUSD." + suffix)

        assert customer.mt5.order_check(request).retcode == checked
        assert customer.mt5.order_send(request).retcode == sent
        assert customer.book("SELECT * FROM orders") == []

    def test_jump_moves_the_price_between_check_and_send(self, customer: Customer) -> None:
        mt5 = customer.mt5
        mt5.symbol_select("USDJPY.jump", True)  # noqa: FBT003 - the package takes it by position only
        for side, direction in ((BUY, 1), (SELL, -1)):
            before = mt5.symbol_info_tick("USDJPY.jump")
            assert mt5.order_check(customer.order("USDJPY.jump", side=side)).retcode == 0

            jumped, afterwards = mt5.symbol_info_tick("USDJPY.jump"), mt5.symbol_info_tick("USDJPY.jump")

            assert (jumped.bid - before.bid) * direction == pytest.approx(1.0, abs=0.05)
            assert afterwards.bid == pytest.approx(before.bid, abs=0.05)

    def test_jump_is_never_executed(self, customer: Customer) -> None:
        reply = customer.send("EURUSD.jump")

        assert reply.retcode == 10004
        assert reply.ask == pytest.approx(customer.mt5.symbol_info_tick("EURUSD").ask + 0.01, abs=0.0005)
        assert customer.book("SELECT * FROM orders") == []


class TestMarketsOneMustNotTradeOn:
    def test_modes_that_forbid_opening(self, mt5: Any) -> None:
        assert mt5.symbol_info("EURUSD.disabled").trade_mode == mt5.SYMBOL_TRADE_MODE_DISABLED
        assert mt5.symbol_info("EURUSD.closeonly").trade_mode == mt5.SYMBOL_TRADE_MODE_CLOSEONLY
        assert mt5.symbol_info("EURUSD.closed").trade_mode == mt5.SYMBOL_TRADE_MODE_FULL

    def test_feeds_that_cannot_be_trusted(self, mt5: Any) -> None:
        for suffix in ("stale", "notick", "crossed"):
            assert mt5.symbol_select("EURUSD." + suffix, True)  # noqa: FBT003 - the package takes it by position only

        now = mt5.symbol_info_tick("EURUSD")
        stale, crossed = mt5.symbol_info_tick("EURUSD.stale"), mt5.symbol_info_tick("EURUSD.crossed")

        assert now.time - stale.time >= 30 * 60
        assert crossed.ask < crossed.bid
        assert mt5.symbol_info_tick("EURUSD.notick") is None
        assert mt5.last_error()[0] == mt5.RES_E_NOT_FOUND

    def test_nomargin_asks_for_more_than_there_is(self, mt5: Any) -> None:
        needed = mt5.order_calc_margin(BUY, "EURUSD.nomargin", 0.01, 1.085)

        assert needed > mt5.account_info().margin_free > mt5.order_calc_margin(BUY, "EURUSD", 100.0, 1.085)


class TestAmbiguous:
    def test_timeout_is_executed_and_answered_10012_without_tickets(self, customer: Customer) -> None:
        reply = customer.send("EURUSD.timeout")

        assert (reply.retcode, reply.order, reply.deal, reply.volume) == (10012, 0, 0, 0.0)
        assert customer.executed("EURUSD.timeout") == 0.1

    def test_lostreply_is_executed_and_breaks_the_pipe_until_initialize(self, customer: Customer) -> None:
        assert customer.send("EURUSD.lostreply") is None
        assert customer.mt5.last_error() == (-10002, "IPC recv failed")

        assert customer.mt5.account_info() is None
        assert customer.mt5.last_error() == (-10004, "No IPC connection")
        assert customer.mt5.initialize()

        (deal,) = customer.mt5.history_deals_get(*EVER, group="EURUSD.lostreply")
        assert deal.volume == 0.1

    def test_notsent_breaks_the_pipe_once_for_each_trade(self, customer: Customer) -> None:
        trade = base_token(7, 2001)

        assert customer.send("EURUSD.notsent", magic=attempt_token(trade, 1)) is None
        assert customer.mt5.last_error()[0] == -10002
        assert customer.executed("EURUSD.notsent") == 0
        customer.mt5.initialize()

        assert customer.send("EURUSD.notsent", magic=attempt_token(trade, 2)).retcode == 10009
        assert customer.executed("EURUSD.notsent") == 0.1

    def test_neversent_breaks_the_pipe_at_every_attempt(self, customer: Customer) -> None:
        trade = base_token(7, 3001)
        for attempt in (1, 2, 3):
            assert customer.send("EURUSD.neversent", magic=attempt_token(trade, attempt)) is None
            assert customer.mt5.last_error()[0] == -10002
            customer.mt5.initialize()

        assert customer.book("SELECT * FROM orders") == []

    def test_hidden_is_done_and_shows_only_after_two_seconds(self, customer: Customer) -> None:
        mt5 = customer.mt5
        reply = customer.send("EURUSD.hidden")
        assert (reply.retcode, reply.deal, reply.price) == (10009, 0, 0.0)
        assert reply.order > 0

        looks = [mt5.orders_get(), mt5.positions_get(), mt5.history_orders_get(*EVER)]
        assert [*looks, mt5.history_orders_get(ticket=reply.order), customer.deals(reply.order)] == [(), (), (), (), []]
        (truth,) = customer.book("SELECT * FROM deals WHERE symbol = 'EURUSD.hidden'")
        customer.time_passes(2)

        (deal,) = customer.deals(reply.order)
        assert deal._asdict() == truth
        assert customer.history(reply.order).time_done_msc == truth["time_msc"]
        assert len(mt5.positions_get()) == 1

    def test_nohistory_is_executed_and_nobody_can_tell(self, customer: Customer) -> None:
        mt5 = customer.mt5
        assert customer.send("EURUSD.nohistory") is None
        mt5.initialize()
        (truth,) = customer.book("SELECT * FROM deals WHERE symbol = 'EURUSD.nohistory'")

        looks: list[Any] = [
            lambda: mt5.orders_get(symbol="EURUSD.nohistory"),
            lambda: mt5.positions_get(symbol="EURUSD.nohistory"),
            lambda: mt5.positions_get(ticket=truth["position_id"]),
            lambda: mt5.history_orders_get(*EVER, group="*.nohistory"),
            lambda: mt5.history_orders_get(ticket=truth["order"]),
            lambda: mt5.history_deals_get(*EVER, group="EURUSD.nohistory"),
            lambda: mt5.history_deals_get(position=truth["position_id"]),
        ]

        for look in looks:
            assert look() is None
            assert mt5.last_error() == (-1, "Terminal: Call failed")

    def test_a_nohistory_trade_does_not_blind_anybody_for_the_others(self, customer: Customer) -> None:
        customer.send("EURUSD.nohistory")
        customer.mt5.initialize()
        reply = customer.send("EURUSD")

        orders, deals = customer.mt5.history_orders_get(*EVER), customer.mt5.history_deals_get(*EVER)

        assert [order.ticket for order in orders] == [reply.order]
        assert [deal.order for deal in deals] == [0, reply.order]  # the opening balance and ours
        assert [position.symbol for position in customer.mt5.positions_get(group="*")] == ["EURUSD"]
