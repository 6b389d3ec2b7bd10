"""Markets that close at weekends, when the book's owner wants it so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.mt5.simulated.dealer import (
    BUY_LIMIT,
    BUY_STOP,
    DEAL,
    MODIFY,
    OPENED,
    REMOVE,
    SELL_STOP,
    SLTP,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.mt5.simulated.dealer import Dealer

SERVER_OFFSET = timedelta(hours=2)
CLOSING = datetime(2025, 10, 11, tzinfo=UTC) - SERVER_OFFSET  # a Saturday begins at the server
OPENING = CLOSING + timedelta(days=2)


@pytest.fixture
def weekdays_only(dealer: Dealer) -> Dealer:
    assert datetime.fromtimestamp(OPENED / 1000, UTC).strftime("%A") == "Thursday"
    dealer.book.change("UPDATE meta SET open_at_weekends = 0")
    return dealer


def at(dealer: Dealer, moment: datetime, *, before: float = 0.0) -> None:
    """Go on to a moment, or to so many seconds before it."""
    dealer.goes_on(moment.timestamp() - before - dealer.now / 1000)


def test_ordinarily_nothing_ever_closes(dealer: Dealer) -> None:
    at(dealer, CLOSING + timedelta(days=1))

    assert dealer.buy().retcode == 10009
    assert dealer.quote().utc_msc == dealer.now


def test_a_closed_market_takes_no_orders_and_coins_never_close(weekdays_only: Dealer) -> None:
    dealer = weekdays_only
    codes = []
    for moment in (CLOSING - timedelta(seconds=1), CLOSING, OPENING - timedelta(seconds=1), OPENING):
        at(dealer, moment)
        codes.append([dealer.check(action=DEAL, symbol=name, volume=0.1) for name in ("EURUSD", "US500", "BTCUSD")])

    assert codes == [[0, 0, 0], [10018, 10018, 0], [10018, 10018, 0], [0, 0, 0]]


def test_nothing_is_changed_over_the_weekend_but_an_order_can_be_removed(weekdays_only: Dealer) -> None:
    dealer = weekdays_only
    position, order = dealer.buy().order, dealer.place(BUY_LIMIT, 0.9).order
    at(dealer, CLOSING)

    assert dealer.send(action=SLTP, position=position, sl=0.9).retcode == 10018
    assert dealer.send(action=MODIFY, order=order, price=0.8).retcode == 10018
    assert dealer.place(BUY_STOP, 2.0).retcode == 10018
    assert dealer.send(action=REMOVE, order=order).retcode == 10009


def test_over_the_weekend_the_last_tick_is_shown(weekdays_only: Dealer) -> None:
    dealer = weekdays_only
    at(dealer, CLOSING + timedelta(hours=30))

    last = round(CLOSING.timestamp() * 1000) - 100
    assert dealer.quote() == dealer.quote(utc_msc=last)
    assert dealer.quote().utc_msc == last


def test_what_was_reached_over_the_weekend_meets_the_opening_price(weekdays_only: Dealer) -> None:
    # Given a stop and an order at a price that the market is beyond on Monday, and not yet on Friday
    dealer = weekdays_only
    closing = next(weekend for weekend in weekends() if abs(moved_over(dealer, weekend)) > 0.002)
    kind = SELL_STOP if moved_over(dealer, closing) < 0 else BUY_STOP
    at(dealer, closing, before=60)
    halfway = round(dealer.quote().touch(kind) + moved_over(dealer, closing) / 2, 5)
    position = (dealer.buy() if kind == SELL_STOP else dealer.sell()).order
    assert dealer.send(action=SLTP, position=position, sl=halfway).retcode == 10009
    assert dealer.place(kind, halfway, volume=0.2).retcode == 10009

    # When the new week has not quite begun
    opening = closing + timedelta(days=2)
    at(dealer, opening, before=0.001)
    assert len(dealer.deals()) == 1

    # Then both are executed in its first moment, at the price of that
    at(dealer, opening + timedelta(hours=1))
    monday = round(opening.timestamp() * 1000)
    executed = [(deal["time_msc"], deal["price"], deal["volume"]) for deal in dealer.deals()[1:]]
    moment, price = dealer.server_msc(monday), dealer.quote(utc_msc=monday).touch(kind)
    assert sorted(executed) == [(moment, price, 0.1), (moment, price, 0.2)]


def weekends() -> Iterator[datetime]:
    """Return when weekends begin."""
    return (CLOSING + timedelta(weeks=week) for week in range(100))


def moved_over(dealer: Dealer, closing: datetime) -> float:
    """Return how far the price moves from a minute before a weekend to its end."""
    friday, monday = (round((closing + away).timestamp() * 1000) for away in (-timedelta(minutes=1), timedelta(days=2)))
    return dealer.quote(utc_msc=monday).bid - dealer.quote(utc_msc=friday).bid
