"""Pending orders: where they may be placed, when they are triggered, and how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.mt5.simulated.dealer import (
    BUY,
    BUY_LIMIT,
    BUY_STOP,
    BUY_STOP_LIMIT,
    MODIFY,
    OPENED,
    PENDING,
    REMOVE,
    SELL_LIMIT,
    SELL_STOP,
    SELL_STOP_LIMIT,
)

if TYPE_CHECKING:
    from tests.unit.mt5.simulated.dealer import Dealer

POINT = 0.00001
PLACED, CANCELED, FILLED, REJECTED, EXPIRED = 1, 2, 4, 5, 6
RETURN = 2  # ORDER_FILLING_RETURN
GTC, DAY, SPECIFIED, SPECIFIED_DAY = range(4)
SERVER_NOW = OPENED // 1000 + 7200
MIDNIGHT = SERVER_NOW // 86400 * 86400


def away(dealer: Dealer, kind: int, points: int, symbol: str = "EURUSD", point: float = POINT) -> float:
    """Return a price so many points on the right side of the market for a kind of order."""
    now = dealer.quote(symbol)
    touch, digits = (now.bid, now.ask)[kind % 2 == 0], 5 if point == POINT else 2
    up = kind in (SELL_LIMIT, BUY_STOP, BUY_STOP_LIMIT)
    return round(touch + (points if up else -points) * point, digits)


class TestPlacing:
    def test_an_order_waits_as_it_was_asked_for(self, dealer: Dealer) -> None:
        price = away(dealer, BUY_LIMIT, 50)
        sl, tp = round(price - 0.001, 5), round(price + 0.002, 5)

        answer = dealer.place(BUY_LIMIT, price, volume=0.3, sl=sl, tp=tp, magic=7, comment="mine", type_filling=2)

        assert (answer.retcode, answer.deal, answer.volume, answer.price) == (10009, 0, 0.3, 0.0)
        order = dealer.order(answer.order)
        assert (order["type"], order["state"], order["position_id"], order["reason"]) == (BUY_LIMIT, PLACED, 0, 3)
        assert (order["price_open"], order["sl"], order["tp"]) == (price, sl, tp)
        assert (order["volume_initial"], order["volume_current"], order["time_done"]) == (0.3, 0.3, 0)
        assert (order["magic"], order["comment"], order["type_filling"]) == (7, "mine", 2)
        assert order["price_current"] == dealer.quote().ask
        assert dealer.deals() == dealer.positions() == []

    @pytest.mark.parametrize("kind", range(BUY_LIMIT, SELL_STOP_LIMIT + 1))
    def test_a_price_keeps_its_distance_on_its_side_of_the_market(self, dealer: Dealer, kind: int) -> None:
        def code(points: int) -> int:
            price = away(dealer, kind, points)
            beyond = -20 if kind == BUY_STOP_LIMIT else 20
            return dealer.check(
                action=PENDING, symbol="EURUSD", volume=0.1, type=kind, price=price,
                stoplimit=round(price + beyond * POINT, 5),
            )  # fmt: skip

        assert [code(points) for points in (5, 4, 0, -30)] == [0, 10015, 10015, 10015]

    @pytest.mark.parametrize(("kind", "better"), [(BUY_STOP_LIMIT, -1), (SELL_STOP_LIMIT, 1)])
    def test_the_limit_of_a_stop_limit_is_better_than_its_stop(self, dealer: Dealer, kind: int, better: int) -> None:
        price = away(dealer, kind, 50)

        def code(points: int) -> int:
            return dealer.place(kind, price, stoplimit=round(price + better * points * POINT, 5)).retcode

        assert [code(points) for points in (5, 4, -20)] == [10009, 10015, 10015]
        assert dealer.place(kind, price).retcode == 10015

    @pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf"), 1e300])
    def test_a_price_is_a_price(self, dealer: Dealer, price: float) -> None:
        assert dealer.place(BUY_LIMIT, price).retcode == 10015

    def test_prices_lie_on_the_tick_size(self, dealer: Dealer) -> None:
        assert dealer.place(BUY_LIMIT, 5000.1, "US500").retcode == 10009
        assert dealer.place(BUY_LIMIT, 5000.15, "US500").retcode == 10015
        assert dealer.place(BUY_LIMIT, 5000.1, "US500", sl=4000.05).retcode == 10016

    @pytest.mark.parametrize(
        ("kind", "sl", "tp", "code"),
        [
            (BUY_LIMIT, -5, 5, 10009),
            (BUY_LIMIT, -4, 0, 10016),
            (BUY_LIMIT, 0, 4, 10016),
            (BUY_LIMIT, 10, 0, 10016),
            (SELL_STOP, 5, -5, 10009),
            (SELL_STOP, 4, 0, 10016),
            (SELL_STOP, 0, 10, 10016),
        ],
    )
    def test_stops_are_measured_from_the_order_s_price(
        self, dealer: Dealer, kind: int, sl: int, tp: int, code: int
    ) -> None:
        price = away(dealer, kind, 300)
        given = (("sl", sl), ("tp", tp))
        stops: dict[str, Any] = {name: round(price + points * POINT, 5) for name, points in given if points}

        assert dealer.place(kind, price, **stops).retcode == code

    def test_stops_of_a_stop_limit_are_measured_from_its_limit(self, dealer: Dealer) -> None:
        price = away(dealer, BUY_STOP_LIMIT, 300)
        limit = round(price - 0.001, 5)

        assert dealer.place(BUY_STOP_LIMIT, price, stoplimit=limit, sl=round(price - 0.0005, 5)).retcode == 10016
        assert dealer.place(BUY_STOP_LIMIT, price, stoplimit=limit, sl=round(limit - 0.0005, 5)).retcode == 10009

    @pytest.mark.parametrize("kind", [BUY, 8, 9])
    def test_only_pending_kinds_are_placed(self, dealer: Dealer, kind: int) -> None:
        assert dealer.place(kind, 1.0).retcode == 10035

    def test_a_symbol_may_have_no_stop_limits(self, dealer: Dealer) -> None:
        assert dealer.place(BUY_STOP_LIMIT, 4000.0, "ETHUSD", stoplimit=3900.0).retcode == 10035
        assert dealer.place(BUY_STOP, 4000.0, "ETHUSD").retcode == 10009

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"volume": 0.001}, 10014),
            ({"type_filling": 3}, 10030),
            ({"symbol": "EURUSD.closed"}, 10018),
            ({"symbol": "EURUSD.disabled"}, 10017),
            ({"symbol": "EURUSD.closeonly"}, 10044),
            ({"symbol": "EURUSD.stale"}, 10021),
            ({"symbol": "EURUSD.notick"}, 10021),
            ({"symbol": "NOPE"}, 10013),
            ({"symbol": "EURUSD.reject"}, 10006),
        ],
    )
    def test_it_is_refused_for_the_reasons_of_any_order(
        self, dealer: Dealer, change: dict[str, Any], code: int
    ) -> None:
        request: dict[str, Any] = {"symbol": "EURUSD", "volume": 0.1} | change

        assert dealer.place(BUY_LIMIT, 1.0, **request).retcode == code
        assert dealer.orders() == []

    def test_market_execution_takes_return_for_limits_only(self, dealer: Dealer) -> None:
        assert dealer.place(BUY_LIMIT, 50_000.0, "BTCUSD", type_filling=2).retcode == 10009
        assert dealer.place(BUY_STOP, 80_000.0, "BTCUSD", type_filling=2).retcode == 10030

    def test_an_account_has_so_many_pending_orders(self, dealer: Dealer) -> None:
        codes = [dealer.place(BUY_LIMIT, 1.0, volume=0.01).retcode for _ in range(201)]

        assert codes == [10009] * 200 + [10033]
        assert dealer.buy("EURUSD.pending").retcode == 10008  # a market order is none of them

    def test_volumes_of_one_direction_are_limited_together(self, dealer: Dealer) -> None:
        for _ in range(25):
            dealer.buy("BTCUSD", 10.0)
            dealer.place(BUY_LIMIT, 50_000.0, "BTCUSD", 10.0)

        assert dealer.place(BUY_STOP, 80_000.0, "BTCUSD", 0.01).retcode == 10034
        assert dealer.buy("BTCUSD", 0.01).retcode == 10034
        assert dealer.place(SELL_LIMIT, 80_000.0, "BTCUSD", 10.0).retcode == 10009

    def test_it_needs_no_money_before_it_is_triggered(self, dealer: Dealer) -> None:
        dealer.book.change("UPDATE meta SET balance = 1")

        assert dealer.place(BUY_LIMIT, 1.0, volume=100.0).retcode == 10009


class TestTriggering:
    @pytest.mark.parametrize("kind", [BUY_LIMIT, SELL_LIMIT, BUY_STOP, SELL_STOP])
    def test_the_first_tick_that_reaches_the_price_executes_it(self, dealer: Dealer, kind: int) -> None:
        # Given an order at a price that the market will reach
        price, tick = dealer.reachable(kind)
        sl = price + (-500 if kind % 2 == 0 else 500)
        ticket = dealer.place(kind, price, "ETHUSD", sl=sl, magic=5).order

        # When it has not quite been reached, nothing has happened
        dealer.now = tick.utc_msc - 1
        dealer.settle()
        assert dealer.deals() == []

        # Then, when somebody looks much later, it was executed at that very tick
        dealer.goes_on(3600)
        (deal,) = dealer.deals()
        assert (deal["time_msc"], deal["price"]) == (dealer.server_msc(tick.utc_msc), price)
        assert (deal["type"], deal["entry"], deal["volume"], deal["magic"]) == (kind % 2, 0, 0.1, 5)
        order = dealer.order(ticket)
        assert (order["type"], order["state"], order["volume_current"]) == (kind, FILLED, 0.0)
        assert order["time_done_msc"] == deal["time_msc"]
        (position,) = dealer.positions()
        assert (position["ticket"], position["identifier"], position["sl"]) == (ticket, ticket, sl)
        assert order["position_id"] == deal["position_id"] == ticket

    def test_a_stop_limit_becomes_a_limit_and_is_then_executed(self, dealer: Dealer) -> None:
        # Given a market that rises to a stop, and to a limit below it later
        stop, at_stop = dealer.reachable(BUY_STOP_LIMIT, "BTCUSD")
        ticket = _waiting_at(dealer, BUY_STOP_LIMIT, stop, "BTCUSD", price_stoplimit=stop - 1)

        # When the stop is reached, it is a limit order that waits on
        dealer.now = at_stop.utc_msc
        dealer.settle()
        order = dealer.order(ticket)
        assert (order["type"], order["state"], order["price_open"]) == (BUY_LIMIT, PLACED, stop - 1)
        assert order["type_filling"] == RETURN
        assert dealer.deals() == []

        # Then the first tick as good as its limit executes it
        dealer.goes_on(86400)
        (deal,) = dealer.deals()
        done = deal["time_msc"] - 7_200_000
        assert deal["price"] <= stop - 1
        assert dealer.quote("BTCUSD", done).ask == deal["price"]
        assert all(dealer.quote("BTCUSD", at).ask > stop - 1 for at in range(at_stop.utc_msc, done, 100))

    def test_without_money_a_triggered_order_is_rejected(self, dealer: Dealer) -> None:
        price, tick = dealer.reachable(SELL_STOP)
        ticket = dealer.place(SELL_STOP, price, "ETHUSD", 100.0).order
        dealer.book.change("UPDATE meta SET balance = 1")

        dealer.goes_on(3600)

        order = dealer.order(ticket)
        assert (order["state"], order["volume_current"], order["position_id"]) == (REJECTED, 100.0, 0)
        assert order["time_done_msc"] == dealer.server_msc(tick.utc_msc)
        assert (dealer.deals(), dealer.waits()) == ([], [])

    def test_a_limit_is_never_filled_at_a_worse_price_even_by_a_broker_that_slips(self, dealer: Dealer) -> None:
        limit, _ = dealer.reachable(BUY_LIMIT, "ETHUSD.slip")
        dealer.place(BUY_LIMIT, limit, "ETHUSD.slip")
        stop, _ = dealer.reachable(BUY_STOP, "ETHUSD.slip")
        dealer.place(BUY_STOP, stop, "ETHUSD.slip")

        dealer.goes_on(3600)

        prices = {dealer.order(deal["order"])["type"]: deal["price"] for deal in dealer.deals()}
        assert prices == {BUY_LIMIT: limit, BUY_STOP: pytest.approx(stop + 0.3)}

    def test_a_triggered_order_meets_the_behaviour_of_its_symbol(self, dealer: Dealer) -> None:
        # Given three orders that will be triggered
        tickets = {}
        for suffix in ("partial", "slow", "pending"):
            price, tick = dealer.reachable(BUY_STOP, f"ETHUSD.{suffix}")
            tickets[suffix] = dealer.place(BUY_STOP, price, f"ETHUSD.{suffix}", 1.0).order, tick.utc_msc

        dealer.goes_on(3600)

        # Then one is filled in part, one two seconds later, and one never
        rows = {suffix: dealer.order(ticket) for suffix, (ticket, _) in tickets.items()}
        ended = {suffix: (row["state"], row["volume_current"]) for suffix, row in rows.items()}
        assert ended == {"partial": (CANCELED, 0.4), "slow": (FILLED, 0.0), "pending": (PLACED, 1.0)}
        assert rows["slow"]["time_done_msc"] == dealer.server_msc(tickets["slow"][1] + 2000)

    def test_on_a_netting_account_it_changes_the_position_of_its_symbol(self, dealer: Dealer) -> None:
        dealer.book.change("UPDATE meta SET margin_mode = 0")
        dealer.buy("ETHUSD", 0.3)
        price, _ = dealer.reachable(SELL_STOP)
        dealer.place(SELL_STOP, price, "ETHUSD", 0.2)

        dealer.goes_on(3600)

        (position,) = dealer.positions()
        assert (position["type"], position["volume"]) == (BUY, 0.1)

    def test_it_waits_for_as_long_as_it_takes(self, dealer: Dealer) -> None:
        ticket = dealer.place(BUY_LIMIT, 0.01).order

        for _ in range(3):
            dealer.goes_on(365 * 86400)

            assert dealer.order(ticket)["state"] == PLACED
            assert dealer.waits() == ["look"]


class TestEnding:
    @pytest.mark.parametrize(
        ("symbol", "type_time", "expiration", "code"),
        [
            ("EURUSD", GTC, 0, 10009),
            ("EURUSD", GTC, 5, 10009),  # nobody looks at it
            ("EURUSD", DAY, 0, 10009),
            ("EURUSD", SPECIFIED, SERVER_NOW + 1, 10009),
            ("EURUSD", SPECIFIED, SERVER_NOW, 10022),
            ("EURUSD", SPECIFIED, 0, 10022),
            ("EURUSD", SPECIFIED, 2**40, 10022),
            ("EURUSD", SPECIFIED_DAY, MIDNIGHT, 10009),
            ("EURUSD", SPECIFIED_DAY, MIDNIGHT - 1, 10022),
            ("EURUSD", 4, SERVER_NOW + 60, 10022),
            ("ETHUSD", DAY, 0, 10009),
            ("ETHUSD", SPECIFIED, SERVER_NOW + 60, 10022),  # this symbol knows only GTC and DAY
        ],
    )
    def test_how_long_it_may_stand(
        self, dealer: Dealer, symbol: str, type_time: int, expiration: int, code: int
    ) -> None:
        assert dealer.place(BUY_LIMIT, 1.0, symbol, type_time=type_time, expiration=expiration).retcode == code

    @pytest.mark.parametrize(
        ("type_time", "expiration", "shown", "end"),
        [
            (DAY, 0, MIDNIGHT, MIDNIGHT + 86400),
            (SPECIFIED, SERVER_NOW + 60, SERVER_NOW + 60, SERVER_NOW + 60),
            (SPECIFIED_DAY, MIDNIGHT + 100_000, MIDNIGHT + 100_000, MIDNIGHT + 2 * 86400),
        ],
    )
    def test_its_time_ends_at_the_server_s_clock(
        self, dealer: Dealer, type_time: int, expiration: int, shown: int, end: int
    ) -> None:
        ticket = dealer.place(BUY_LIMIT, 0.5, type_time=type_time, expiration=expiration).order
        assert dealer.order(ticket)["time_expiration"] == shown

        dealer.goes_on(end - SERVER_NOW - 1)
        assert dealer.order(ticket)["state"] == PLACED

        dealer.goes_on(7 * 86400)
        order = dealer.order(ticket)
        assert (order["state"], order["time_done"], order["volume_current"]) == (EXPIRED, end, 0.1)
        assert dealer.waits() == []

    def test_a_removed_order_is_over(self, dealer: Dealer) -> None:
        price, _ = dealer.reachable(BUY_STOP)
        ticket = dealer.place(BUY_STOP, price, "ETHUSD", type_time=DAY).order

        answer = dealer.send(action=REMOVE, order=ticket)
        dealer.goes_on(7 * 86400)

        assert (answer.retcode, answer.order, answer.deal) == (10009, ticket, 0)
        order = dealer.order(ticket)
        assert (order["state"], order["reason"], order["position_id"], order["volume_current"]) == (CANCELED, 3, 0, 0.1)
        assert (dealer.deals(), dealer.waits()) == ([], [])

    def test_an_order_that_somebody_ends_by_hand_is_over_too(self, dealer: Dealer) -> None:
        price, _ = dealer.reachable(BUY_STOP)
        ticket = dealer.place(BUY_STOP, price, "ETHUSD", type_time=DAY).order
        done = dealer.server_msc(dealer.now)
        dealer.book.change("UPDATE orders SET state = 2, time_done_msc = ? WHERE ticket = ?", (done, ticket))

        dealer.goes_on(7 * 86400)

        assert (dealer.order(ticket)["state"], dealer.order(ticket)["time_done_msc"]) == (CANCELED, done)
        assert (dealer.deals(), dealer.waits()) == ([], [])

    @pytest.mark.parametrize("suffix", ["race", "late"])
    def test_a_suffix_about_cancelling_is_about_orders_that_are_being_executed(
        self, dealer: Dealer, suffix: str
    ) -> None:
        ticket = dealer.place(BUY_LIMIT, 1.0, f"EURUSD.{suffix}").order

        assert dealer.send(action=REMOVE, order=ticket).retcode == 10009
        dealer.goes_on(60)
        assert dealer.deals() == []

    @pytest.mark.parametrize("action", [REMOVE, MODIFY])
    def test_what_is_not_open_can_be_neither_removed_nor_modified(self, dealer: Dealer, action: int) -> None:
        filled = dealer.buy().order

        for ticket in (filled, 1, 2**63):
            assert dealer.send(action=action, order=ticket, price=1.0).retcode == 10013


class TestModifying:
    def test_everything_that_is_not_given_again_is_removed(self, dealer: Dealer) -> None:
        ticket = dealer.place(BUY_LIMIT, 1.0, sl=0.9, tp=1.1, type_time=DAY, magic=3, comment="kept").order

        answer = dealer.send(action=MODIFY, order=ticket, price=1.01)

        assert (answer.retcode, answer.order) == (10009, ticket)
        order = dealer.order(ticket)
        assert (order["price_open"], order["sl"], order["tp"], order["type_time"]) == (1.01, 0, 0, GTC)
        assert (order["time_expiration"], order["magic"], order["comment"]) == (0, 3, "kept")
        assert dealer.waits() == ["look"]

    def test_it_waits_for_its_new_price(self, dealer: Dealer) -> None:
        ticket = dealer.place(BUY_STOP, 9999.0, "ETHUSD").order
        price, tick = dealer.reachable(BUY_STOP)

        dealer.send(action=MODIFY, order=ticket, price=price)
        dealer.goes_on(3600)

        assert dealer.order(ticket)["time_done_msc"] == dealer.server_msc(tick.utc_msc)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({}, 10025),
            ({"price": 1.5}, 10015),
            ({"price": 0.0}, 10015),
            ({"sl": 1.05}, 10016),
            ({"sl": 0.0}, 10009),
            ({"type_time": SPECIFIED, "expiration": 5}, 10022),
            ({"stoplimit": 0.7}, 10025),  # only stop-limits have one
            ({"volume": 5.0, "type": SELL_STOP}, 10025),  # they never change
        ],
    )
    def test_the_new_terms_are_checked_like_the_first(self, dealer: Dealer, change: dict[str, Any], code: int) -> None:
        ticket = dealer.place(BUY_LIMIT, 1.0, sl=0.9).order

        assert dealer.send(**{"action": MODIFY, "order": ticket, "price": 1.0, "sl": 0.9} | change).retcode == code

    def test_a_market_order_that_still_waits_cannot_be_modified(self, dealer: Dealer) -> None:
        ticket = dealer.buy("EURUSD.pending").order

        assert dealer.send(action=MODIFY, order=ticket, price=1.0).retcode == 10013

    @pytest.mark.parametrize(("points", "code"), [(10, 10029), (11, 10009)])
    @pytest.mark.parametrize("request_", [{"action": REMOVE}, {"action": MODIFY, "price": 1000.0}])
    def test_near_to_its_price_it_is_frozen(
        self, dealer: Dealer, request_: dict[str, Any], points: int, code: int
    ) -> None:
        price = round(dealer.quote("XAUUSD").ask - points * 0.01, 2)
        ticket = _waiting_at(dealer, BUY_LIMIT, price, "XAUUSD")

        assert dealer.send(**request_, order=ticket).retcode == code


def _waiting_at(dealer: Dealer, kind: int, price: float, symbol: str, **columns: float) -> int:
    """Let the market come near to an order, by moving the order."""
    far = (10.0, 5.0) if kind in (BUY_LIMIT, SELL_STOP) else (90_000.0, 80_000.0)
    ticket = dealer.place(kind, far[0], symbol, stoplimit=far[1]).order
    for column, value in {"price_open": price, **columns}.items():
        dealer.book.change(f"UPDATE orders SET {column} = ? WHERE ticket = ?", (value, ticket))  # noqa: S608 - a column
    return ticket


class TestThePriceOfTheMomentInHistory:
    def test_it_is_that_of_the_trigger(self, dealer: Dealer) -> None:
        price, trigger = dealer.reachable(BUY_LIMIT)
        placed_at, ticket = dealer.quote("ETHUSD").ask, dealer.place(BUY_LIMIT, price, "ETHUSD").order

        dealer.goes_on(120)

        order = dealer.order(ticket)
        assert (order["state"], order["price_current"]) == (FILLED, trigger.ask)
        assert order["price_current"] != placed_at

    @pytest.mark.parametrize(("kind", "touch"), [(BUY_LIMIT, "ask"), (SELL_STOP_LIMIT, "bid")])
    @pytest.mark.parametrize("state", [CANCELED, EXPIRED])
    def test_it_is_that_of_the_end_of_an_order_that_was_never_triggered(
        self, dealer: Dealer, kind: int, touch: str, state: int
    ) -> None:
        # Given an order far from the market that stands for an hour
        price = away(dealer, kind, 5000)
        terms: dict[str, Any] = {"type_time": SPECIFIED, "expiration": SERVER_NOW + 3600} if state == EXPIRED else {}
        ticket = dealer.place(kind, price, stoplimit=round(price + 0.001, 5), **terms).order
        placed_at = dealer.order(ticket)["price_current"]

        # When it ends without a deal
        dealer.goes_on(3600)
        if state == CANCELED:
            dealer.send(action=REMOVE, order=ticket)

        # Then its row shows the market of that moment, not that of its placing
        order = dealer.order(ticket)
        assert (order["state"], order["time_done"]) == (state, SERVER_NOW + 3600)
        assert order["price_current"] == getattr(dealer.quote(), touch) != placed_at
