"""Looks at orders and deals: each change once, only ours, and an unreadable look is never an empty one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mt5.package import (
    NAMESPACE,
    TOKEN,
    Package,
    a_clock,
    a_deal_row,
    a_link,
    a_terminal,
    an_account,
    an_order_row,
)
from worker.domain.market import PollRequest
from worker.domain.token import attempt_token, base_token, comment_of
from worker.mt5.looking import News
from worker.mt5.quotes import Quotes

NOW = datetime(2026, 1, 5, tzinfo=UTC)
ASKED = PollRequest(NOW - timedelta(minutes=1), frozenset({NAMESPACE}))


def the_news(package: Package) -> News:
    link, clock = a_link(package), a_clock()
    return News(link, Quotes(link, clock), clock, now=lambda: NOW)


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


def test_an_order_that_ends_while_we_look_is_told_as_ended() -> None:
    package = Package(orders_get=(an_order_row(),), history_orders_get=(an_order_row(state=4, volume_current=0.0),))
    assert [order.historical for order in the_news(package).poll(ASKED).orders] == [True]
    assert package.calls[-3:] == ["orders_get", "history_orders_get", "history_deals_get"]


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
    package = Package(history_deals_get=(a_deal_row(),))
    news = the_news(package)
    news.poll(ASKED)
    package.answers["history_deals_get"] = ()
    news.poll(ASKED)
    package.answers["history_deals_get"] = (a_deal_row(),)
    assert news.poll(replace(ASKED, since=NOW - timedelta(hours=1))).deals == ()


def test_memory_is_bounded_by_what_was_seen_in_the_last_two_hours() -> None:
    time = NOW
    link, clock = a_link(package := Package(history_deals_get=(a_deal_row(),))), a_clock()
    news = News(link, Quotes(link, clock), clock, now=lambda: time)
    news.poll(ASKED)
    package.answers["history_deals_get"] = ()
    for _ in range(2):
        time += timedelta(hours=1)
        news.poll(ASKED)
    package.answers["history_deals_get"] = (a_deal_row(),)
    assert len(news.poll(ASKED).deals) == 1


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
