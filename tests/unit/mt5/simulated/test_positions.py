"""What deals make of positions: netting and hedging accounts, and two positions set against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.mt5.simulated.dealer import BUY, CLOSE_BY, SELL, Dealer
from worker.mt5 import simulated
from worker.mt5.simulated import constants as mt5

IN, OUT, INOUT, OUT_BY = range(4)


@pytest.fixture
def netting(dealer: Dealer) -> Dealer:
    dealer.book.change("UPDATE meta SET margin_mode = 0")
    return dealer


def entries(dealer: Dealer) -> list[int]:
    return [deal["entry"] for deal in dealer.deals()]


class TestNetting:
    def test_deals_of_one_side_make_one_position_at_their_average_price(self, netting: Dealer) -> None:
        first = netting.buy(volume=0.1)
        netting.goes_on(3600)
        second = netting.buy(volume=0.3)

        (position,) = netting.positions()
        assert (position["ticket"], position["identifier"], position["volume"]) == (first.order, first.order, 0.4)
        assert position["price_open"] == pytest.approx((0.1 * first.price + 0.3 * second.price) / 0.4, abs=1e-10)
        assert (entries(netting), netting.order(second.order)["position_id"]) == ([IN, IN], first.order)

    def test_what_enlarges_a_position_brings_its_own_stops_or_none(self, netting: Dealer) -> None:
        netting.buy(sl=1.0, tp=1.2)
        (begun,) = netting.positions()
        netting.buy(sl=1.01)
        (grown,) = netting.positions()
        netting.buy()
        (bare,) = netting.positions()

        stops = [(one["sl"], one["tp"]) for one in (begun, grown, bare)]
        assert stops == [(1.0, 1.2), (1.01, 0.0), (0.0, 0.0)]

    def test_a_smaller_opposite_deal_reduces_it_and_changes_nothing_else(self, netting: Dealer) -> None:
        opening = netting.buy(volume=0.3, sl=1.0, magic=5)

        netting.sell(volume=0.1, magic=6)

        (position,) = netting.positions()
        kept = {name: position[name] for name in ("ticket", "type", "price_open", "sl", "magic", "volume")}
        expected: dict[str, Any] = {"ticket": opening.order, "type": BUY, "price_open": opening.price}
        assert kept == expected | {"sl": 1.0, "magic": 5, "volume": 0.2}
        assert entries(netting) == [IN, OUT]

    def test_an_equal_opposite_deal_closes_it(self, netting: Dealer) -> None:
        netting.buy(volume=0.3)
        closing = netting.sell(volume=0.3)

        assert (netting.positions(), entries(netting)) == ([], [IN, OUT])
        spread = closing.quote.ask - closing.quote.bid if closing.quote else 0
        assert netting.deals()[-1]["profit"] == pytest.approx(-spread * 30_000, abs=0.005)

    def test_a_larger_opposite_deal_turns_it_round_in_one_deal(self, netting: Dealer) -> None:
        opening = netting.buy(volume=0.3, sl=1.0, magic=5)

        turning = netting.sell(volume=0.5, tp=1.0, magic=6, comment="turned")

        (position,) = netting.positions()
        assert (position["type"], position["volume"], position["price_open"]) == (SELL, 0.2, turning.price)
        assert (position["identifier"], position["ticket"]) == (opening.order, turning.order)
        assert (position["sl"], position["tp"]) == (0.0, 1.0)
        assert (position["magic"], position["comment"]) == (6, "turned")
        _, deal = netting.deals()
        assert (deal["entry"], deal["volume"], deal["position_id"]) == (INOUT, 0.5, opening.order)
        assert deal["profit"] == pytest.approx((turning.price - opening.price) * 30_000, abs=0.005)
        assert deal["commission"] == -1.75

    def test_a_position_that_was_turned_round_can_be_closed_by_its_new_ticket(self, netting: Dealer) -> None:
        netting.buy(volume=0.1)
        turned = netting.sell(volume=0.3)

        assert netting.buy(volume=0.2, position=turned.order).retcode == 10009

        assert netting.positions() == []

    def test_there_is_nothing_to_close_by(self, netting: Dealer) -> None:
        ticket = netting.buy().order

        assert netting.send(action=CLOSE_BY, position=ticket, position_by=ticket).retcode in {10013, 10036}


class TestHedging:
    def test_opposite_orders_open_positions_of_their_own(self, dealer: Dealer) -> None:
        tickets = [dealer.buy(volume=0.1).order, dealer.sell(volume=0.4).order, dealer.buy(volume=0.1).order]

        assert [(one["ticket"], one["identifier"]) for one in dealer.positions()] == [(t, t) for t in tickets]
        assert entries(dealer) == [IN] * 3

    def test_an_order_that_comes_too_late_to_close_never_opens_anything(self, dealer: Dealer) -> None:
        # Given an order that will close most of a position in two seconds
        ticket = dealer.buy("EURUSD.slow", 0.5).order
        dealer.goes_on(3)
        slow = dealer.sell("EURUSD.slow", 0.4, position=ticket)
        assert slow.retcode == 10008

        # When the position is smaller by then
        dealer.book.change("UPDATE positions SET volume = 0.1 WHERE ticket = ?", (ticket,))
        dealer.goes_on(3)

        # Then it closes what is left, and no more
        assert dealer.positions() == []
        assert [(deal["entry"], deal["volume"]) for deal in dealer.deals()] == [(IN, 0.5), (OUT, 0.1)]
        assert (dealer.order(slow.order)["state"], dealer.order(slow.order)["volume_current"]) == (2, 0.3)

    def test_an_order_whose_position_is_gone_is_rejected(self, dealer: Dealer) -> None:
        ticket = dealer.buy("EURUSD.slow", 0.5).order
        dealer.goes_on(3)
        slow = dealer.sell("EURUSD.slow", 0.4, position=ticket)
        dealer.book.change("DELETE FROM positions WHERE ticket = ?", (ticket,))

        dealer.goes_on(3)

        assert (dealer.order(slow.order)["state"], len(dealer.deals())) == (5, 1)

    def test_unequal_positions_closed_by_each_other_leave_the_difference(self, dealer: Dealer) -> None:
        # Given a long position and, an hour later, a larger short one
        long = dealer.buy(volume=0.3)
        dealer.goes_on(3600)
        short = dealer.sell(volume=0.5, sl=1.3)

        # When the first is closed by the second
        reply = dealer.send(action=CLOSE_BY, position=long.order, position_by=short.order)

        # Then what is left of the larger is as it was, and the profit is that between their prices
        assert reply.retcode == 10009
        (left,) = dealer.positions()
        assert (left["ticket"], left["volume"], left["price_open"], left["sl"]) == (short.order, 0.2, short.price, 1.3)
        *_, first, second = dealer.deals()
        assert [deal["entry"] for deal in (first, second)] == [OUT_BY, OUT_BY]
        assert [deal["position_id"] for deal in (first, second)] == [long.order, short.order]
        assert [(deal["type"], deal["volume"]) for deal in (first, second)] == [(SELL, 0.3), (BUY, 0.3)]
        assert [deal["price"] for deal in (first, second)] == [short.price, short.price]
        assert first["profit"] == pytest.approx((short.price - long.price) * 30_000, abs=0.005)
        assert (second["profit"], first["commission"], second["commission"]) == (0.0, 0.0, 0.0)


def test_a_new_book_may_be_a_netting_account_s_and_stays_one(path: Path) -> None:
    def margin_mode_with(*, netting: bool) -> int:
        terminal: Any = simulated.module(path, netting=netting)
        terminal.initialize()
        account = terminal.account_info()
        terminal.shutdown()
        return int(account.margin_mode)

    assert margin_mode_with(netting=True) == mt5.ACCOUNT_MARGIN_MODE_RETAIL_NETTING
    assert margin_mode_with(netting=False) == mt5.ACCOUNT_MARGIN_MODE_RETAIL_NETTING
