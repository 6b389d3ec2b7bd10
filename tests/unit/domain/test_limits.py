"""Limits on how often orders are sent: never more than allowed within any window, however the orders come."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.stories import NOW
from worker.domain.checks import Refusal
from worker.domain.limits import MINUTE, Counted, Order, OrderLimits, Throttle
from worker.domain.trade import Direction

BUY = Order("EURUSD", Direction.LONG, Decimal(10_000), is_retry=False)
ORDERS = st.builds(
    Order,
    symbol=st.sampled_from(["EURUSD", "XAUUSD"]),
    direction=st.sampled_from(Direction),
    units=st.sampled_from([Decimal(10_000), Decimal("10000.0"), Decimal(20_000)]),
    is_retry=st.booleans(),
)
ASKED = st.lists(st.tuples(st.floats(0, 40), ORDERS), max_size=60)  # seconds since the one before it
LIMITS = st.builds(OrderLimits, st.integers(0, 4), st.integers(0, 3), st.sampled_from([1.0, 30.0, 100.0]))


def most_within(times: list[float], window: float) -> int:
    """Return the largest number of these times (ascending) in any window that is open at its beginning."""
    return max((bisect_right(times, end) - bisect_right(times, end - window) for end in times), default=0)


def admitted(throttle: Throttle, asked: list[tuple[float, Order]], since: float = 0) -> list[Counted]:
    now, places = since, list[Counted]()
    for later, order in asked:
        now += later
        if isinstance(place := throttle.admit(order, now), Counted):
            places.append(place)
    return places


@given(LIMITS, ASKED)
def test_there_are_never_more_than_allowed_in_any_window(limits: OrderLimits, asked: list[tuple[float, Order]]) -> None:
    places = admitted(Throttle(limits), asked)

    alike: dict[Order, list[float]] = defaultdict(list)
    for place in places:
        if not place.order.is_retry:
            alike[place.order].append(place.at)
    if limits.per_minute:
        assert most_within([place.at for place in places], MINUTE) <= limits.per_minute
    if limits.repeated:
        assert all(most_within(times, limits.repeat_window) <= limits.repeated for times in alike.values())


@given(LIMITS, ASKED)
def test_nothing_is_refused_while_there_is_room(limits: OrderLimits, asked: list[tuple[float, Order]]) -> None:
    throttle, places, now = Throttle(limits), list[Counted](), 0.0
    for later, order in asked:
        now += later
        answer = throttle.admit(order, now)
        if isinstance(answer, Counted):
            places.append(answer)
            continue
        of_the_minute = [place for place in places if place.at > now - MINUTE]
        alike = [place for place in places if place.order == order and place.at > now - limits.repeat_window]
        assert len(of_the_minute) == limits.per_minute > 0 or len(alike) == limits.repeated > 0


@given(LIMITS, ASKED, ASKED, st.floats(0, 30))
def test_a_worker_that_is_started_anew_decides_as_the_one_before_it_would_have(
    limits: OrderLimits, before: list[tuple[float, Order]], after: list[tuple[float, Order]], away: float
) -> None:
    # Given what one worker has written ahead, by its times in the ledger
    first = Throttle(limits)
    places = admitted(first, before)
    ended = sum(later for later, _ in before)
    written = [(NOW + timedelta(seconds=place.at), place.order) for place in places]

    # When another one, on a machine whose monotonic clock shows something else, begins a while later
    second = Throttle(limits)
    second.remember(written, NOW + timedelta(seconds=ended + away), 1_000_000)

    # Then it admits what the first would have admitted (times in the ledger have microseconds: not at the very edge)
    after = [(round(later, 1) + 0.05, order) for later, order in after]
    expected = [place.order for place in admitted(first, after, ended + away)]
    assert [place.order for place in admitted(second, after, 1_000_000)] == expected


@given(LIMITS, ASKED)
def test_a_place_that_is_given_back_is_free_for_the_next(limits: OrderLimits, asked: list[tuple[float, Order]]) -> None:
    throttle, now = Throttle(limits), 0.0
    for later, order in asked:
        now += later
        place = throttle.admit(order, now)
        assert isinstance(place, Counted)  # none before it has kept its place
        throttle.withdraw(place)


def test_without_limits_everything_is_admitted_and_nothing_kept_in_mind() -> None:
    assert len(admitted(Throttle(OrderLimits()), [(0, BUY)] * 100)) == 100
    assert OrderLimits().memory == 0


@pytest.mark.parametrize(
    ("limits", "memory"),
    [
        (OrderLimits(per_minute=1), 60),
        (OrderLimits(repeated=1, repeat_window=5), 5),
        (OrderLimits(per_minute=1, repeated=1, repeat_window=300), 300),
    ],
)
def test_orders_are_kept_in_mind_as_long_as_they_count(limits: OrderLimits, memory: float) -> None:
    assert limits.memory == memory


def test_a_refusal_names_figures_and_setting() -> None:
    rate, repeats = Throttle(OrderLimits(per_minute=1)), Throttle(OrderLimits(repeated=1, repeat_window=30))
    for throttle in (rate, repeats):
        throttle.admit(BUY, 0)

    too_many, too_often = rate.admit(BUY, 59.9), repeats.admit(BUY, 29.9)

    assert isinstance(too_many, Refusal)
    assert isinstance(too_often, Refusal)
    assert (too_many.status, too_many.reason) == (too_often.status, too_often.reason) == ("rejected", "limit_exceeded")
    assert too_many.detail == ("MAX_ORDERS_PER_MINUTE is 1, and as many orders were written ahead within the last 60 s")
    assert too_often.detail == (
        "MAX_REPEATED_ORDERS is 1, and as many orders to buy 10000 EURUSD were written ahead within the last 30 s "
        "(REPEAT_WINDOW_SECONDS)"
    )
