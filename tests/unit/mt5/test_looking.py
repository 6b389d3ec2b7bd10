"""Looks at orders and deals: each change once, only ours, and an unreadable look is never an empty one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mt5.package import (
    NAMESPACE,
    TOKEN,
    Package,
    Struct,
    a_clock,
    a_deal_row,
    a_link,
    a_terminal,
    an_account,
    an_order_row,
)
from worker.domain.errors import TerminalUnavailable
from worker.domain.market import Poll, PollRequest
from worker.domain.token import attempt_token, base_token, comment_of
from worker.mt5 import past
from worker.mt5.looking import News
from worker.mt5.quotes import Quotes

NOW = datetime(2026, 1, 5, tzinfo=UTC)
SECOND = int(NOW.timestamp())
ASKED = PollRequest(NOW - timedelta(minutes=1), frozenset({NAMESPACE}))
FAR = replace(ASKED, since=NOW - timedelta(hours=1))


def a_deal_of(minutes_ago: int, **changes: Any) -> Struct:
    return a_deal_row(time=int((NOW - timedelta(minutes=minutes_ago)).timestamp()), **changes)


def in_window(rows: list[Struct]) -> Callable[..., tuple[Struct, ...]]:
    """Answer as a terminal does: what lies between two seconds, and nothing that is asked for by its ticket."""

    def shown(*window: int, **_: int) -> tuple[Struct, ...]:
        return tuple(row for row in rows if window and window[0] <= row.time <= window[1])

    return shown


def the_news(package: Package) -> News:
    link, clock = a_link(package), a_clock()
    return News(link, Quotes(link, clock), clock, now=lambda: NOW)


def tickets_told(poll: Poll) -> list[int]:
    return [order.ticket for order in poll.orders] + [deal.ticket for deal in poll.deals]


def reading(package: Package, function: str) -> list[int]:
    """Note how many rows each answer of a function has."""
    answer, numbers = package.answers[function], list[int]()

    def counted(*window: int, **filters: int) -> tuple[Struct, ...]:
        rows: tuple[Struct, ...] = answer(*window, **filters)
        numbers.append(len(rows))
        return rows

    package.answers[function] = counted
    package.answers[function.replace("_get", "_total")] = lambda *window: len(answer(*window))
    return numbers


def test_each_change_of_an_order_is_told_once() -> None:
    package = Package(orders_get=(an_order_row(),))
    news = the_news(package)
    assert [order.state for order in news.poll(ASKED).orders] == [1]
    assert news.poll(ASKED).orders == ()
    package.answers["orders_get"] = (an_order_row(state=3, volume_current=0.04),)
    assert [order.executed for order in news.poll(ASKED).orders] == [Decimal("0.06")]
    package.answers |= {"orders_get": (), "history_orders_get": (an_order_row(state=4, volume_current=0.0),)}
    assert [(order.state, order.historical) for order in news.poll(ASKED).orders] == [(4, True)]
    assert news.poll(ASKED).orders == ()


def test_what_a_look_shows_twice_is_told_once() -> None:
    package = Package(orders_get=(an_order_row(), an_order_row()), history_deals_get=(a_deal_of(0), a_deal_of(0)))
    poll = the_news(package).poll(ASKED)
    assert (len(poll.orders), len(poll.deals)) == (1, 1)


def test_an_order_that_ends_while_we_look_is_told_as_ended() -> None:
    package = Package(orders_get=(an_order_row(),), history_orders_get=(an_order_row(state=4, volume_current=0.0),))
    assert [order.historical for order in the_news(package).poll(ASKED).orders] == [True]
    looks = [call for call in package.calls if call in {"orders_get", "history_orders_get", "history_deals_get"}]
    assert sorted(looks, key=["orders_get", "history_orders_get", "history_deals_get"].index) == looks


def test_each_deal_is_told_once() -> None:
    package = Package(history_deals_get=(a_deal_row(),))
    news = the_news(package)
    assert [deal.ticket for deal in news.poll(ASKED).deals] == [11]
    package.answers["history_deals_get"] = (a_deal_row(), a_deal_row(ticket=12))
    assert [deal.ticket for deal in news.poll(ASKED).deals] == [12]


@given(st.lists(st.sets(st.integers(1, 20)), min_size=1))
def test_over_any_looks_every_deal_is_told_exactly_once(growth: list[set[int]]) -> None:
    package = Package()
    news = the_news(package)
    told: list[int] = []
    seen: set[int] = set()
    for more in growth:
        seen |= more
        package.answers["history_deals_get"] = tuple(a_deal_row(ticket=ticket) for ticket in seen)
        told += [deal.ticket for deal in news.poll(ASKED).deals]
    assert sorted(told) == sorted(seen)


@pytest.mark.parametrize(
    ("row", "ours"),
    [
        (a_deal_row(), True),
        (a_deal_row(comment="changed by the broker"), True),
        (a_deal_row(magic=0), True),  # the token is still in the comment
        (a_deal_row(magic=0, comment="changed"), False),
        (a_deal_row(magic=5), False),
        (a_deal_row(magic=attempt_token(base_token(NAMESPACE + 1, 1), 1)), False),
        (a_deal_row(type=2), False),  # a balance operation
    ],
)
def test_a_deal_is_ours_by_its_token_alone(row: object, ours: bool) -> None:  # noqa: FBT001 - a table's column
    deals = the_news(Package(history_deals_get=(row,))).poll(ASKED).deals
    assert [deal.magic for deal in deals] == ([TOKEN] if ours else [])


@pytest.mark.parametrize("where", ["orders_get", "history_orders_get"])
def test_a_deal_stripped_of_its_token_is_known_by_its_order(where: str) -> None:
    package = Package(history_deals_get=(a_deal_row(magic=0, comment="changed"),), **{where: (an_order_row(),)})
    assert [deal.magic for deal in the_news(package).poll(ASKED).deals] == [TOKEN]


@pytest.mark.parametrize("function", ["orders_get", "history_orders_get", "history_deals_get"])
def test_a_look_up_that_fails_makes_the_look_unreadable_and_nothing_is_lost(function: str) -> None:
    rows = {"orders_get": (an_order_row(),), "history_deals_get": (a_deal_row(),), "history_orders_get": ()}
    package = Package(**rows)
    news = the_news(package)
    package.fails(function, -1)

    blind = news.poll(ASKED)
    package.answers[function] = rows[function]
    clear = news.poll(ASKED)

    assert not blind.readable
    assert "could not read" in blind.detail
    assert clear.readable
    assert len(blind.orders + clear.orders) == 1
    assert len(blind.deals + clear.deals) == 1


def test_the_newest_deal_is_anybody_s() -> None:
    package = Package(history_deals_get=(a_deal_row(), a_deal_row(ticket=99, magic=5), a_deal_row(ticket=98, type=2)))
    news = the_news(package)
    assert [news.poll(ASKED).newest_deal for _ in range(2)] == [99, 99]
    package.answers["history_deals_get"] = ()
    assert news.poll(ASKED).newest_deal is None


def test_a_disconnected_terminal_proves_nothing() -> None:
    package = Package()
    news = the_news(package)
    package.answers["terminal_info"] = a_terminal(connected=False)
    poll = news.poll(ASKED)
    assert not poll.readable
    assert "disconnected" in poll.detail


def test_another_account_s_orders_are_never_told() -> None:
    package = Package(orders_get=(an_order_row(),))
    news = the_news(package)
    package.answers["account_info"] = an_account(login=8)
    poll = news.poll(ASKED)
    assert (poll.readable, poll.orders) == (False, ())
    assert package.count("orders_get") == 0


def test_what_left_the_window_and_comes_back_into_it_is_not_told_again() -> None:
    package = Package(history_deals_get=(a_deal_of(0),))
    news = the_news(package)
    news.poll(ASKED)
    package.answers["history_deals_get"] = ()
    news.poll(ASKED)
    package.answers["history_deals_get"] = (a_deal_of(0),)
    assert news.poll(FAR).deals == ()


def test_a_look_far_back_reads_nothing_that_was_seen_and_finds_what_shows_up_late() -> None:
    # Given a past that has been told
    deals = [a_deal_of(minutes, ticket=minutes) for minutes in range(1, 60)]
    package = Package(history_deals_get=in_window(deals))
    news = the_news(package)
    assert len(news.poll(FAR).deals) == 59
    package.calls.clear()

    # When nothing has come to it, then a look far back reads the last seconds and counts the rest
    assert news.poll(FAR).deals == ()
    assert (package.count("history_deals_total"), package.count("history_deals_get")) == (1, 1)

    # When a deal shows up half an hour late, then it is found
    deals.append(a_deal_of(30, ticket=999))
    assert [deal.ticket for deal in news.poll(FAR).deals] == [999]
    assert news.poll(FAR).deals == ()


def test_a_deal_that_vanishes_hides_none_that_shows_up_late() -> None:
    # Given a past of which a terminal that has reconnected shows one deal less
    deals = [a_deal_of(minutes, ticket=minutes) for minutes in range(1, 60)]
    news = the_news(Package(history_deals_get=in_window(deals)))
    assert len(news.poll(FAR).deals) == 59
    del deals[40]
    assert news.poll(FAR).deals == ()

    # When as many deals show up late as have vanished, then they are told
    deals.append(a_deal_of(30, ticket=999))
    assert [deal.ticket for deal in news.poll(FAR).deals] == [999]


@pytest.mark.parametrize("kind", ["orders", "deals"])
def test_a_look_reads_the_newest_seconds_and_counts_what_was_seen_before(kind: str) -> None:
    # Given a minute of a hundred orders a second, all of them told
    a_row = {"orders": lambda second, number: an_order_row(time=second, time_done=second, ticket=number, state=4)}
    a_row["deals"] = lambda second, number: a_deal_row(time=second, ticket=number)
    rows = [a_row[kind](SECOND - 60 + number // 100, number) for number in range(1, 6001)]
    package = Package(**{f"history_{kind}_get": in_window(rows)})
    news = the_news(package)
    news.poll(ASKED)
    numbers = reading(package, f"history_{kind}_get")

    # When the next one is there, then a look reads what the last two seconds have shown
    rows.append(a_row[kind](SECOND, 6001))
    poll = news.poll(ASKED)
    assert tickets_told(poll) == [6001]
    assert sum(numbers) <= 200

    # When one shows up ten seconds late, then little more is read to find it
    numbers.clear()
    rows.append(a_row[kind](SECOND - 10, 6002))
    poll = news.poll(ASKED)
    assert tickets_told(poll) == [6002]
    assert sum(numbers) <= 200 + past._AT_ONCE


def test_an_ended_order_that_changes_soon_after_is_told_again() -> None:
    rows = [an_order_row(time=SECOND, time_done=SECOND, state=1)]
    news = the_news(Package(history_orders_get=in_window(rows)))
    assert [order.state for order in news.poll(ASKED).orders] == [1]
    rows[:] = [an_order_row(time=SECOND, time_done=SECOND, state=4)]
    assert [order.state for order in news.poll(ASKED).orders] == [4]


def test_when_the_server_s_clock_is_put_back_what_is_done_is_seen_at_once() -> None:
    # Given deals of the last minute, all of them told
    deals = [a_deal_row(time=SECOND - ago, ticket=60 - ago) for ago in range(60)]
    package = Package(history_deals_get=in_window(deals))
    news = the_news(package)
    news.poll(ASKED)

    # When the server writes times of an hour ago from now on, then its deals are told as they come
    told = []
    for ticket in range(61, 71):
        deals.append(a_deal_row(time=SECOND - 3600 + ticket, ticket=ticket))
        told.append([deal.ticket for deal in news.poll(FAR).deals])
    assert told == [[ticket] for ticket in range(61, 71)]


@given(
    shown=st.lists(st.lists(st.tuples(st.integers(0, 3599), st.booleans()), max_size=6), min_size=1, max_size=8),
)
def test_whenever_a_deal_shows_up_a_look_far_back_tells_it_once(shown: list[list[tuple[int, bool]]]) -> None:
    # Given a terminal that shows deals of the last hour in any order, and so many that they are not read in one go
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(past, "_AT_ONCE", 3)
        deals: list[Struct] = []
        news = the_news(Package(history_deals_get=in_window(deals)))
        told: list[int] = []
        for batch in shown:
            for seconds_ago, is_ours in batch:
                marks = {} if is_ours else {"magic": 5}
                row = a_deal_row(time=int(NOW.timestamp()) - seconds_ago, ticket=len(deals) + 1, **marks)
                deals.append(row)
            # When it is looked at far back and not so far
            told += [deal.ticket for request in (ASKED, FAR) for deal in news.poll(request).deals]

    # Then each of ours was told once, and nobody else's
    assert sorted(told) == [row.ticket for row in deals if row.magic == TOKEN]


def test_a_past_that_cannot_be_counted_is_unreadable() -> None:
    package = Package(history_deals_get=(a_deal_of(30),))
    news = the_news(package)
    package.fails("history_deals_total", -1)

    blind = news.poll(FAR)
    package.answers["history_deals_total"] = 1
    clear = news.poll(FAR)

    assert (blind.readable, "deal history" in blind.detail) == (False, True)
    assert (clear.readable, len(clear.deals)) == (True, 1)


def test_a_zero_that_hides_an_error_is_not_believed() -> None:
    package = Package()
    news = the_news(package)

    def hides_an_error(*_: int) -> int:
        package.error = (-2, "no")
        return 0

    package.answers["history_orders_total"] = hides_an_error
    assert not news.poll(FAR).readable


def test_an_unmarked_deal_is_told_once_its_order_is_shown() -> None:
    deal = a_deal_of(0, magic=0, comment="changed")
    package = Package(history_deals_get=(deal,))
    news = the_news(package)
    assert news.poll(ASKED).deals == ()
    package.answers["history_orders_get"] = (an_order_row(),)
    assert [deal.magic for deal in news.poll(ASKED).deals] == [TOKEN]
    assert news.poll(ASKED).deals == ()


def test_an_unmarked_deal_that_shows_up_late_is_known_by_an_order_of_any_age() -> None:
    def orders(*window: int, ticket: int = 0) -> tuple[Struct, ...]:
        return (an_order_row(),) if ticket == 1 and not window else ()

    package = Package(history_deals_get=(a_deal_of(50, magic=0, comment="changed"),), history_orders_get=orders)
    assert [deal.magic for deal in the_news(package).poll(FAR).deals] == [TOKEN]


def test_what_could_not_be_told_is_told_by_the_next_look() -> None:
    # Given a connection that breaks while it is asked whose a deal is
    def breaks(*_: int, ticket: int = 0) -> tuple[Struct, ...]:
        if ticket:
            raise TerminalUnavailable("the pipe is broken")
        return ()

    unmarked = a_deal_of(0, ticket=13, order=3, magic=0, comment="changed")
    package = Package(history_deals_get=(a_deal_of(0), a_deal_of(0, ticket=12), unmarked), history_orders_get=breaks)
    package.answers["orders_get"] = lambda **filters: () if filters else (an_order_row(ticket=2),)
    news = the_news(package)
    with pytest.raises(TerminalUnavailable):
        news.poll(ASKED)

    # When it is there again, then nothing is missing
    package.answers["history_orders_get"] = ()
    poll = news.poll(ASKED)
    assert ([order.ticket for order in poll.orders], [deal.ticket for deal in poll.deals]) == ([2], [11, 12])


def test_in_other_namespaces_what_was_somebody_else_s_may_be_ours() -> None:
    package = Package(orders_get=(an_order_row(),), history_deals_get=(a_deal_of(0),))
    news = the_news(package)
    stranger = news.poll(replace(ASKED, namespaces=frozenset({NAMESPACE + 1})))
    ours = news.poll(ASKED)
    assert (stranger.orders, stranger.deals) == ((), ())
    assert (len(ours.orders), len(ours.deals)) == (1, 1)


def test_memory_is_bounded_by_two_hours() -> None:
    # Given the deals of a day, one a minute, as they were looked at
    seen = past.Seen()
    for minute in range(1440):
        seen.add(60 * minute, minute)
        seen.tidy(60 * minute - 10, 60 * minute)

    # Then those of two hours are remembered, at eight bytes each but for the last seconds
    assert seen.count(0, 90_000) == 121
    assert sum(tickets.itemsize * len(tickets) for tickets in seen._packed.values()) == 120 * 8
    assert not seen.add(60 * 1400, 1400)
    assert seen.add(60, 1)


def test_while_the_server_s_clock_is_unknown_the_look_s_time_stands_in() -> None:
    assert the_news(Package(history_deals_get=(a_deal_row(),))).poll(ASKED).deals[0].time == NOW


def test_the_story_of_an_order_has_only_its_own_deals() -> None:
    rows = (a_deal_row(), a_deal_row(ticket=12, order=2), a_deal_row(ticket=13, type=2))
    package = Package(
        history_orders_get=lambda *_, ticket=0: (an_order_row(magic=3, comment=comment_of(3)),) if ticket == 1 else (),
        history_deals_get=rows,
    )
    news = the_news(package)
    story = news.story(1)
    assert story is not None
    assert (story.order.historical, [deal.ticket for deal in story.deals]) == (True, [11])
    assert story.contract_size == 100_000
    assert news.story(2) is None
