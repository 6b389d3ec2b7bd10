"""Closing a position by an opposite one: what may be closed so, and what the book says afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.mt5.simulated.dealer import BUY, CLOSE_BY

if TYPE_CHECKING:
    from tests.unit.mt5.simulated.dealer import Dealer


def test_two_positions_end_by_one_order_and_two_deals(dealer: Dealer) -> None:
    long = dealer.buy(volume=0.3)
    dealer.goes_on(30)
    short = dealer.sell(volume=0.3)

    answer = dealer.send(action=CLOSE_BY, position=long.order, position_by=short.order, magic=4, comment="unheard")

    assert (answer.retcode, answer.volume, answer.price) == (10009, 0.3, short.price)
    order = dealer.order(answer.order)
    assert (order["type"], order["state"], order["magic"], order["volume_initial"]) == (8, 4, 4, 0.3)
    assert (order["position_id"], order["position_by_id"]) == (long.order, short.order)
    assert order["comment"] == f"close #{long.order} by #{short.order}"
    *_, first, second = dealer.deals()
    assert [first["ticket"], first["order"], second["order"]] == [answer.deal, answer.order, answer.order]
    assert (first["entry"], second["entry"]) == (3, 3)
    assert {first["position_id"], second["position_id"]} == {long.order, short.order}
    assert dealer.positions() == []


def test_of_unequal_positions_the_larger_one_stays_with_the_difference(dealer: Dealer) -> None:
    small, large = dealer.sell(volume=0.1), dealer.buy(volume=0.4, sl=1.0)

    dealer.send(action=CLOSE_BY, position=small.order, position_by=large.order)

    (left,) = dealer.positions()
    assert (left["ticket"], left["type"], left["volume"]) == (large.order, BUY, 0.3)
    assert (left["price_open"], left["sl"], dealer.waits()) == (large.price, 1.0, ["guard"])


def test_what_does_not_belong_together_is_refused(dealer: Dealer) -> None:
    one, same, other = dealer.buy().order, dealer.buy().order, dealer.sell("USDJPY").order

    def code(position: int, position_by: int) -> int:
        return dealer.send(action=CLOSE_BY, position=position, position_by=position_by).retcode

    assert [code(one, same), code(one, one), code(one, other)] == [10013] * 3
    assert [code(one, 5), code(5, one), code(one, 0)] == [10036] * 3


def test_a_netting_account_has_nothing_to_close_by(dealer: Dealer) -> None:
    one, other = dealer.buy().order, dealer.sell().order
    dealer.book.change("UPDATE meta SET margin_mode = 0")

    assert dealer.send(action=CLOSE_BY, position=one, position_by=other).retcode == 10013


def test_what_is_being_closed_already_cannot_be_closed_again(dealer: Dealer) -> None:
    # Given a position of which a slow broker is to close a part
    long, short = dealer.buy("EURUSD.slow", 0.3).order, dealer.sell("EURUSD.slow", 0.3).order
    dealer.goes_on(2)
    assert dealer.sell("EURUSD.slow", 0.2, position=long).retcode == 10008

    # Then only the rest of it may be closed meanwhile
    assert dealer.send(action=CLOSE_BY, position=long, position_by=short).retcode == 10039
    assert dealer.sell("EURUSD.slow", 0.2, position=long).retcode == 10039
    assert dealer.sell("EURUSD.slow", 0.1, position=long).retcode == 10008
    dealer.goes_on(2)
    assert [position["ticket"] for position in dealer.positions()] == [short]


@pytest.mark.parametrize("volume", [0.4, 0.31])
def test_no_more_is_closed_than_is_open(dealer: Dealer, volume: float) -> None:
    ticket = dealer.buy(volume=0.3).order

    assert dealer.sell(volume=volume, position=ticket).retcode == 10038


def test_a_netting_position_may_be_closed_by_its_ticket(dealer: Dealer) -> None:
    dealer.book.change("UPDATE meta SET margin_mode = 0")
    ticket = dealer.buy(volume=0.3).order

    assert dealer.buy(volume=0.1, position=ticket).retcode == 10013
    assert dealer.sell(volume=0.3, position=ticket).retcode == 10009
    assert dealer.positions() == []
