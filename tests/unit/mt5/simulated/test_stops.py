"""Stop loss and take profit: where they may be, how they are changed, and the exits that the server makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.mt5.simulated.dealer import (
    BUY,
    BUY_LIMIT,
    BUY_STOP,
    CLOSE_BY,
    DEAL,
    SELL,
    SELL_LIMIT,
    SELL_STOP,
    SLTP,
)

if TYPE_CHECKING:
    from tests.unit.mt5.simulated.dealer import Dealer

POINT = 0.00001
SL, TP = 4, 5  # *_REASON_*

# of each side: the pending order that waits for the same ticks as its stop loss and its take profit
LIKE = {(BUY, "sl"): SELL_STOP, (BUY, "tp"): SELL_LIMIT, (SELL, "sl"): BUY_STOP, (SELL, "tp"): BUY_LIMIT}


def opened(dealer: Dealer, side: int, symbol: str = "ETHUSD", **fields: Any) -> int:
    """Open a position and return its ticket."""
    answer = (dealer.sell if side else dealer.buy)(symbol, **fields)
    assert answer.retcode == 10009
    return answer.order


class TestPlaces:
    @pytest.mark.parametrize(
        ("side", "name", "points", "code"),
        [
            (BUY, "sl", -5, 10009),
            (BUY, "sl", -4, 10016),
            (BUY, "sl", 30, 10016),
            (BUY, "tp", 5, 10009),
            (BUY, "tp", 4, 10016),
            (BUY, "tp", -30, 10016),
            (SELL, "sl", 5, 10009),
            (SELL, "sl", 4, 10016),
            (SELL, "sl", -30, 10016),
            (SELL, "tp", -5, 10009),
            (SELL, "tp", -4, 10016),
            (SELL, "tp", 30, 10016),
        ],
    )
    def test_each_keeps_its_distance_on_its_side_of_the_price_at_which_it_closes(
        self, dealer: Dealer, side: int, name: str, points: int, code: int
    ) -> None:
        now = dealer.quote()
        level = round((now.ask if side else now.bid) + points * POINT, 5)
        ticket = opened(dealer, side, "EURUSD")

        at_once = dealer.send(action=DEAL, symbol="EURUSD", volume=0.1, type=side, **{name: level})
        afterwards = dealer.send(action=SLTP, position=ticket, **{name: level})

        assert at_once.retcode == afterwards.retcode == code

    def test_without_a_stops_level_they_still_cannot_be_at_the_price(self, dealer: Dealer) -> None:
        bid = dealer.quote("ETHUSD").bid

        assert dealer.buy("ETHUSD", sl=bid).retcode == 10016
        assert dealer.buy("ETHUSD", sl=round(bid - 0.01, 2)).retcode == 10009

    @pytest.mark.parametrize("level", [-1.0, float("nan"), float("inf"), 1e300])
    def test_a_stop_is_a_price(self, dealer: Dealer, level: float) -> None:
        assert dealer.buy(sl=level).retcode == dealer.sell(tp=level).retcode == 10016

    def test_more_digits_than_the_symbol_has_are_rounded_away(self, dealer: Dealer) -> None:
        dealer.buy(sl=1.0512345678)

        assert dealer.positions()[0]["sl"] == 1.05123


class TestChanging:
    def test_a_position_opens_with_its_order_s_stops(self, dealer: Dealer) -> None:
        ticket = opened(dealer, BUY, sl=3000.0, tp=3500.0)

        (position,) = dealer.positions()
        assert (position["sl"], position["tp"], dealer.order(ticket)["sl"]) == (3000.0, 3500.0, 3000.0)

    def test_what_is_not_given_again_is_removed(self, dealer: Dealer) -> None:
        ticket = opened(dealer, BUY, sl=3000.0, tp=3500.0)
        dealer.goes_on(5)

        answer = dealer.send(action=SLTP, position=ticket, tp=3600.0)

        assert (answer.retcode, answer.order, answer.deal) == (10009, 0, 0)
        (position,) = dealer.positions()
        assert (position["sl"], position["tp"]) == (0.0, 3600.0)
        assert position["time_update_msc"] == dealer.server_msc(dealer.now)
        assert dealer.waits() == ["guard"]
        assert dealer.send(action=SLTP, position=ticket).retcode == 10009
        assert dealer.waits() == []

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({}, 10025),
            ({"sl": 3000.004}, 10025),  # the same, once it is rounded
            ({"symbol": "ETHUSD", "sl": 2900.0}, 10009),
            ({"symbol": "EURUSD", "sl": 2900.0}, 10013),
            ({"position": 5, "sl": 2900.0}, 10036),
            ({"position": 0, "symbol": "ETHUSD", "sl": 2900.0}, 10036),  # on a hedging account it is named by ticket
        ],
    )
    def test_it_is_refused_when_there_is_nothing_to_change(
        self, dealer: Dealer, change: dict[str, Any], code: int
    ) -> None:
        ticket = opened(dealer, BUY, sl=3000.0)

        assert dealer.send(**{"action": SLTP, "position": ticket, "sl": 3000.0} | change).retcode == code

    def test_on_a_netting_account_the_symbol_is_enough(self, dealer: Dealer) -> None:
        dealer.book.change("UPDATE meta SET margin_mode = 0")
        opened(dealer, BUY)

        assert dealer.send(action=SLTP, symbol="ETHUSD", sl=3000.0).retcode == 10009
        assert dealer.positions()[0]["sl"] == 3000.0

    @pytest.mark.parametrize(("points", "code"), [(10, 10029), (11, 10009)])
    @pytest.mark.parametrize(
        "request_",
        [
            {"action": SLTP, "sl": 2000.0},
            {"action": DEAL, "symbol": "XAUUSD", "volume": 0.1, "type": SELL},
            {"action": CLOSE_BY},
        ],
    )
    def test_near_to_a_stop_the_position_is_frozen(
        self, dealer: Dealer, request_: dict[str, Any], points: int, code: int
    ) -> None:
        ticket, other = opened(dealer, BUY, "XAUUSD"), opened(dealer, SELL, "XAUUSD")
        level = round(dealer.quote("XAUUSD").bid - points * 0.01, 2)
        dealer.book.change("UPDATE positions SET sl = ? WHERE ticket = ?", (level, ticket))

        assert dealer.send(**request_, position=ticket, position_by=other).retcode == code


class TestExits:
    @pytest.mark.parametrize(("side", "name"), LIKE)
    def test_the_first_tick_that_reaches_a_stop_closes_the_position(self, dealer: Dealer, side: int, name: str) -> None:
        # Given a position whose stop the market will reach
        level, tick = dealer.reachable(LIKE[side, name])
        stop: dict[str, Any] = {name: level}
        ticket = opened(dealer, side, volume=0.3, magic=9, comment="mine", **stop)
        before = dealer.book.meta().balance
        dealer.now = tick.utc_msc - 1
        dealer.settle()
        assert len(dealer.positions()) == 1

        # When somebody looks much later
        dealer.goes_on(86400)

        # Then the server closed it at that tick, by an order and a deal of its own
        assert (dealer.positions(), dealer.waits()) == ([], [])
        opening, closing = dealer.orders()
        reason = {"sl": SL, "tp": TP}[name]
        assert (closing["type"], closing["state"], closing["reason"]) == (1 - side, 4, reason)
        assert (closing["position_id"], closing["magic"], closing["volume_initial"]) == (ticket, 9, 0.3)
        assert closing["comment"] == f"[{name} {level:.2f}]"
        assert closing["time_setup_msc"] == closing["time_done_msc"] == dealer.server_msc(tick.utc_msc)
        _, deal = dealer.deals()
        assert (deal["order"], deal["type"], deal["entry"], deal["reason"]) == (closing["ticket"], 1 - side, 1, reason)
        assert (deal["price"], deal["position_id"], deal["comment"]) == (level, opening["ticket"], closing["comment"])
        assert dealer.book.meta().balance == pytest.approx(before + deal["profit"] + deal["commission"])

    def test_of_both_stops_the_first_reached_one_closes(self, dealer: Dealer) -> None:
        level, _ = dealer.reachable(SELL_STOP)
        opened(dealer, BUY, sl=level, tp=9000.0)

        dealer.goes_on(365 * 86400)

        assert [deal["reason"] for deal in dealer.deals()] == [3, SL]

    def test_a_position_that_is_closed_in_time_is_not_closed_again(self, dealer: Dealer) -> None:
        level, _ = dealer.reachable(SELL_STOP)
        ticket = opened(dealer, BUY, volume=0.3, sl=level)

        part = dealer.sell("ETHUSD", 0.1, position=ticket)
        assert (part.retcode, dealer.waits()) == (10009, ["guard"])
        assert dealer.sell("ETHUSD", 0.2, position=ticket).retcode == 10009

        assert dealer.waits() == []
        dealer.goes_on(86400)
        assert len(dealer.deals()) == 3

    def test_a_closing_order_gives_no_stops_to_anybody(self, dealer: Dealer) -> None:
        ticket = opened(dealer, BUY, volume=0.3, sl=3000.0)

        assert dealer.sell("ETHUSD", 0.1, position=ticket, sl=1.0, tp=9000.0).retcode == 10009
        assert dealer.positions()[0]["sl"] == 3000.0

    @pytest.mark.parametrize("suffix", ["partial", "multi", "pending", "slow"])
    def test_what_a_suffix_does_to_a_client_s_order_it_does_not_do_to_an_exit(
        self, dealer: Dealer, suffix: str
    ) -> None:
        name = f"ETHUSD.{suffix}"
        ticket = dealer.buy(name, 1.0).order
        dealer.book.change("INSERT INTO schedule VALUES (NULL, ?, 'deal', ?, NULL)", (dealer.now, ticket))
        dealer.settle()
        level, tick = dealer.reachable(SELL_STOP, name)
        assert dealer.send(action=SLTP, position=ticket, sl=level).retcode == 10009

        dealer.goes_on(3600)

        assert dealer.positions() == []
        assert dealer.deals()[-1]["time_msc"] == dealer.server_msc(tick.utc_msc)

    def test_the_stops_of_a_triggered_order_are_guarded_from_its_own_tick_on(self, dealer: Dealer) -> None:
        # Given an order whose stop loss is so near that the spread alone reaches it
        price, tick = dealer.reachable(BUY_STOP)
        dealer.place(BUY_STOP, price, "ETHUSD", sl=round(price - 0.01, 2))

        dealer.goes_on(3600)

        assert [deal["time_msc"] for deal in dealer.deals()] == [dealer.server_msc(tick.utc_msc)] * 2
        assert [deal["reason"] for deal in dealer.deals()] == [3, SL]

    def test_a_stop_that_somebody_writes_into_the_book_is_guarded_too(self, dealer: Dealer) -> None:
        ticket = opened(dealer, BUY)
        level, tick = dealer.reachable(SELL_STOP)
        server_msc = dealer.server_msc(dealer.now)
        dealer.book.change(
            "UPDATE positions SET sl = ?, time_update_msc = ? WHERE ticket = ?", (level, server_msc, ticket)
        )

        dealer.goes_on(3600)

        assert dealer.deals()[-1]["time_msc"] == dealer.server_msc(tick.utc_msc)

    def test_a_reversed_position_is_guarded_under_its_new_ticket(self, dealer: Dealer) -> None:
        # Given a netting account, and a position reversed by an order with a stop of its own
        dealer.book.change("UPDATE meta SET margin_mode = 0")
        first = opened(dealer, BUY, volume=0.1, sl=3000.0)
        level, _ = dealer.reachable(BUY_STOP)
        opened(dealer, SELL, volume=0.3, sl=level)

        dealer.goes_on(3600)

        closing = dealer.deals()[-1]
        assert (closing["reason"], closing["volume"], closing["position_id"]) == (SL, 0.2, first)
        assert (dealer.positions(), dealer.waits()) == ([], [])
