"""Searches for tokens: everything is found, and whatever may hide something is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
    a_position_row,
    a_terminal,
    an_account,
    an_order_row,
)
from worker.domain.market import BrokerDeal, Search, SearchRequest
from worker.mt5.quotes import Quotes
from worker.mt5.searching import Searcher

NOW = datetime(2026, 1, 5, tzinfo=UTC)
DEPOSIT = a_deal_row(ticket=10, order=0, magic=0, type=2, symbol="", comment="deposit", time=1_600_000_000)
ASKED = SearchRequest(NOW - timedelta(minutes=1), frozenset({NAMESPACE}), frozenset({"EURUSD"}), witness=10)
UNMARKED = {"magic": 0, "comment": "filled by LP-7"}


def of_symbol(*rows: Struct) -> Callable[..., tuple[Struct, ...]]:
    """Answer as `orders_get` and `positions_get` do: all rows, or those of one symbol."""
    return lambda symbol=None: tuple(row for row in rows if symbol in {None, row.symbol})


def history(*rows: Struct) -> Callable[..., tuple[Struct, ...]]:
    """Answer as the history functions do: by a window in server time and a group, by a ticket or by a position."""

    def look(begin: int = 0, end: int = 1 << 40, *, group: str | None = None, **keys: int) -> tuple[Struct, ...]:
        column = {"position": "position_id"}
        return tuple(
            row
            for row in rows
            if begin <= vars(row).get("time", vars(row).get("time_setup", 0)) <= end
            and group in {None, row.symbol}
            and all(vars(row)[column.get(key, key)] == value for key, value in keys.items())
        )

    return look


def just_now(row: Struct) -> Struct:
    """Date a row to the time of the story."""
    now = int(NOW.timestamp())
    stamps = {name: now for name in ("time", "time_setup") if name in vars(row)}
    return Struct(**(vars(row) | stamps))


def a_package(
    *, open_orders: tuple[Struct, ...] = (), positions: tuple[Struct, ...] = (), **past: tuple[Struct, ...]
) -> Package:
    """Return a terminal that knows these rows, dated now, and an old deposit."""
    return Package(
        orders_get=of_symbol(*open_orders),
        positions_get=of_symbol(*map(just_now, positions)),
        history_orders_get=history(*map(just_now, past.get("orders", ()))),
        history_deals_get=history(DEPOSIT, *map(just_now, past.get("deals", ()))),
    )


def a_searcher(package: Package, **opening: Any) -> Searcher:
    link, clock = a_link(package, **opening), a_clock()
    return Searcher(link, Quotes(link, clock), clock, now=lambda: NOW)


def search(package: Package, request: SearchRequest = ASKED) -> Search:
    return a_searcher(package).search(request)


def fails_for(package: Package, function: str, *, by_name: bool) -> None:
    """Make a look-up fail: the one at everything, or the one by a symbol's name."""
    answer = package.answers[function]

    def look(*window: int, **filters: str) -> tuple[Struct, ...] | None:
        if bool(filters) is not by_name:
            return answer(*window, **filters)  # type: ignore[no-any-return] # the story's own rows
        package.error = (-1, "Terminal: Call failed")
        return None

    package.answers[function] = look


def test_nothing_of_ours_is_nothing_found() -> None:
    found = search(a_package())
    assert (found.readable, found.detail, found.unreadable_symbols) == (True, "", frozenset())
    assert (found.orders, found.deals, found.positions, found.strangers) == ((), (), (), ())
    assert found.newest_deal == 10


def test_all_that_carries_our_token_is_found() -> None:
    found = search(
        a_package(
            open_orders=(an_order_row(ticket=2),),
            orders=(an_order_row(state=4, volume_current=0.0),),
            deals=(a_deal_row(), a_deal_row(ticket=99, order=7, magic=5)),
            positions=(a_position_row(),),
        )
    )
    assert [(order.ticket, order.historical) for order in found.orders] == [(2, False), (1, True)]
    assert [deal.ticket for deal in found.deals] == [11]
    assert [(position.opened_by, position.magic) for position in found.positions] == [(1, TOKEN)]
    assert (found.strangers, found.newest_deal) == ((), 99)


def test_every_search_tells_the_whole_again() -> None:
    searcher = a_searcher(a_package(deals=(a_deal_row(),)))
    assert searcher.search(ASKED) == searcher.search(ASKED)


def test_an_order_that_ends_while_we_look_is_told_as_ended() -> None:
    package = a_package(open_orders=(an_order_row(),), orders=(an_order_row(state=4),))
    assert [order.historical for order in search(package).orders] == [True]
    looks = [call for call in package.calls if call.endswith("_get")]
    assert looks[:4] == ["orders_get", "positions_get", "history_orders_get", "history_deals_get"]


@pytest.mark.parametrize("function", ["orders_get", "positions_get", "history_orders_get", "history_deals_get"])
def test_a_look_that_fails_makes_the_search_unreadable_and_what_was_seen_is_told(function: str) -> None:
    package = a_package(open_orders=(an_order_row(),), deals=(a_deal_row(),))
    fails_for(package, function, by_name=False)
    found = search(package, replace(ASKED, witness=None))
    assert not found.readable
    assert "could not read" in found.detail
    assert found.orders
    assert found.deals
    assert not found.lacks_witness


def test_an_empty_look_with_an_error_is_unreadable() -> None:
    package = a_package()

    def empty_with_an_error(*_: int, **__: str) -> tuple[()]:
        package.error = (-1, "Terminal: Call failed")
        return ()

    package.answers["orders_get"] = empty_with_an_error
    assert not search(package).readable


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ({"terminal_info": a_terminal(connected=False)}, "disconnected"),
        ({"account_info": None}, "logged out"),
        ({"account_info": an_account(login=8)}, "logged in to 8"),
        ({"account_info": an_account(server="T")}, "at T"),
    ],
)
def test_a_terminal_that_is_not_at_its_account_proves_nothing(answer: dict[str, Any], word: str) -> None:
    package = a_package(deals=(a_deal_row(),))
    searcher = a_searcher(package)
    package.answers |= answer
    found = searcher.search(ASKED)
    assert (found.readable, found.deals) == (False, ())
    assert word in found.detail


def test_a_terminal_that_loses_its_connection_meanwhile_proves_nothing() -> None:
    package = a_package()
    searcher = a_searcher(package)
    package.answers["terminal_info"] = [a_terminal(), a_terminal(connected=False)]
    assert "disconnected" in searcher.search(ASKED).detail


def test_a_terminal_that_may_not_trade_can_be_searched_all_the_same() -> None:
    package = a_package()
    package.answers["terminal_info"] = a_terminal(trade_allowed=False)
    assert search(package).readable


def test_a_history_without_any_deal_is_not_loaded() -> None:
    package = a_package()
    package.answers["history_deals_get"] = history()
    found = search(package, replace(ASKED, witness=None))
    assert (found.readable, found.newest_deal, found.lacks_witness) == (False, None, False)
    assert "no deal at all" in found.detail


@given(st.integers(0, 3000).map(lambda days: timedelta(days=days)))
def test_a_witness_is_found_however_old_it_is(age: timedelta) -> None:
    witness = a_deal_row(ticket=50, magic=5, time=int((NOW - age).timestamp()))
    package = a_package()
    package.answers["history_deals_get"] = history(DEPOSIT, witness)
    found = search(package, replace(ASKED, witness=50))
    assert (found.readable, found.newest_deal) == (True, 50)


def test_a_history_without_the_newest_known_deal_is_not_whole() -> None:
    found = search(a_package(deals=(a_deal_row(),)), replace(ASKED, witness=98))
    assert (found.readable, found.lacks_witness) == (False, True)
    assert "does not hold deal 98" in found.detail
    assert [deal.ticket for deal in found.deals] == [11]


def test_an_old_witness_is_not_sought_in_the_whole_history_every_time_but_asked_for_every_time() -> None:
    package = a_package()
    searcher = a_searcher(package)
    searcher.search(ASKED)
    package.calls.clear()

    assert searcher.search(ASKED).readable
    assert package.count("history_deals_get") == 3  # everything, the symbol, the witness where it stood

    package.answers["history_deals_get"] = history()
    assert not searcher.search(ASKED).readable


def test_a_deal_without_anybody_s_mark_is_a_stranger() -> None:
    found = search(
        a_package(
            deals=(
                a_deal_row(ticket=21, order=7, **UNMARKED),
                a_deal_row(ticket=22, order=8, magic=5),  # somebody else's
                a_deal_row(ticket=23, order=9, symbol="USDJPY", **UNMARKED),  # nobody asked
                a_deal_row(ticket=24, order=0, symbol="EURUSD", type=7, **UNMARKED),  # a charge
            )
        )
    )
    assert [deal.ticket for deal in found.strangers] == [21]
    assert found.deals == ()


def tokens(deals: tuple[BrokerDeal, ...]) -> list[int]:
    return [deal.magic for deal in deals]


def test_a_stripped_comment_leaves_the_magic() -> None:
    found = search(a_package(deals=(a_deal_row(comment="filled by LP-7"),)))
    assert (tokens(found.deals), found.strangers) == ([TOKEN], ())


def test_a_stripped_magic_leaves_the_comment() -> None:
    found = search(a_package(deals=(a_deal_row(magic=0),)))
    assert (tokens(found.deals), found.strangers) == ([TOKEN], ())


def test_a_deal_stripped_of_both_is_known_by_its_order() -> None:
    found = search(a_package(orders=(an_order_row(state=4),), deals=(a_deal_row(**UNMARKED),)))
    assert (tokens(found.deals), found.strangers) == ([TOKEN], ())


def test_on_a_hedging_account_an_order_stripped_of_both_is_known_by_its_position() -> None:
    package = a_package(
        orders=(an_order_row(state=4, **UNMARKED),), deals=(a_deal_row(**UNMARKED),), positions=(a_position_row(),)
    )
    found = search(package)
    assert ([order.magic for order in found.orders], tokens(found.deals)) == ([TOKEN], [TOKEN])


def test_on_a_netting_account_a_position_says_nothing_of_the_order_that_began_it() -> None:
    package = a_package(
        orders=(an_order_row(state=4, **UNMARKED),), deals=(a_deal_row(**UNMARKED),), positions=(a_position_row(),)
    )
    package.answers["account_info"] = an_account(margin_mode=0)
    found = search(package)
    assert (found.orders, [deal.ticket for deal in found.strangers]) == ((), [11])
    assert len(found.positions) == 1


def test_an_open_market_order_stripped_of_both_makes_its_symbol_unreadable() -> None:
    assert search(a_package(open_orders=(an_order_row(**UNMARKED),))).unreadable_symbols == {"EURUSD"}
    a_limit_order = an_order_row(type=2, **UNMARKED)
    assert search(a_package(open_orders=(a_limit_order,))).unreadable_symbols == frozenset()


def test_of_a_position_alone_its_order_and_deals_are_looked_up() -> None:
    package = a_package(positions=(a_position_row(identifier=3),))
    package.answers["history_orders_get"] = history(an_order_row(ticket=3, state=4))
    package.answers["history_deals_get"] = history(DEPOSIT, a_deal_row(order=3, position_id=3))
    found = search(package)
    assert [order.ticket for order in found.orders] == [3]
    assert [deal.order for deal in found.deals] == [3]


def test_a_position_whose_order_cannot_be_looked_up_makes_its_symbol_unreadable() -> None:
    package = a_package(positions=(a_position_row(),))
    answer = package.answers["history_orders_get"]

    def by_ticket_fails(*window: int, **filters: int) -> tuple[Struct, ...] | None:
        if "ticket" not in filters:
            return answer(*window, **filters)  # type: ignore[no-any-return] # the story's own rows
        package.error = (-1, "Terminal: Call failed")
        return None

    package.answers["history_orders_get"] = by_ticket_fails
    found = search(package)
    assert found.unreadable_symbols == {"EURUSD"}
    assert [position.ticket for position in found.positions] == [1]


def test_positions_opened_before_the_time_asked_for_cost_no_look() -> None:
    old = [a_position_row(ticket=number, identifier=number) for number in range(1000)]
    package = a_package()
    package.answers["positions_get"] = of_symbol(*old)
    assert len(search(package).positions) == 1000
    assert len(package.calls) < 20


@pytest.mark.parametrize("function", ["orders_get", "positions_get", "history_orders_get", "history_deals_get"])
def test_a_symbol_whose_look_fails_is_unreadable_alone(function: str) -> None:
    package = a_package(open_orders=(an_order_row(),))
    fails_for(package, function, by_name=True)
    found = search(package)
    assert found.readable
    assert found.unreadable_symbols == {"EURUSD"}


def test_a_symbol_that_the_broker_has_not_got_is_unreadable() -> None:
    package = a_package()
    package.answers["symbol_select"] = False
    assert search(package).unreadable_symbols == {"EURUSD"}


@pytest.mark.parametrize("name", ["EUR*", "!EURUSD", "EURUSD,USDJPY"])
def test_a_name_that_means_others_in_a_group_is_unreadable(name: str) -> None:
    package = a_package()
    assert search(package, replace(ASKED, symbols=frozenset({name}))).unreadable_symbols == {name}


def test_a_look_by_name_that_shows_less_than_the_look_at_everything_proves_nothing() -> None:
    package = a_package(deals=(a_deal_row(magic=5),))
    everything = package.answers["history_deals_get"]
    package.answers["history_deals_get"] = lambda *window, group=None: () if group else everything(*window)
    assert search(package).unreadable_symbols == {"EURUSD"}


@pytest.mark.parametrize("symbols", [set(), {"EURUSD"}, {"EURUSD", "USDJPY", "XAUUSD"}])
@pytest.mark.parametrize("count", [0, 100])
def test_the_number_of_calls_grows_with_the_symbols_and_not_with_the_trades(symbols: set[str], count: int) -> None:
    rows = [a_deal_row(ticket=100 + number, order=number) for number in range(count)]
    package = a_package(deals=tuple(rows), orders=tuple(an_order_row(ticket=number) for number in range(count)))
    searcher = a_searcher(package)
    found = searcher.search(replace(ASKED, symbols=frozenset(symbols)))
    assert len(found.deals) == count
    looks = [call for call in package.calls if call.endswith("_get")]
    assert len(looks) <= 4 + 4 * len(symbols) + 2


def test_the_window_has_a_margin_that_covers_every_time_zone() -> None:
    windows: list[tuple[int, ...]] = []

    def look(*window: int, **_: str) -> tuple[()]:
        windows.append(window)
        return ()

    package = a_package()
    package.answers["history_orders_get"] = look
    search(package)
    begin, end = windows[0]
    assert begin <= (ASKED.since - timedelta(days=1, hours=12)).timestamp()
    assert end >= (NOW + timedelta(days=1, hours=14)).timestamp()


def test_only_a_terminal_inside_the_session_is_clean_after_a_reconnect() -> None:
    (custody,) = search(a_package()).custody.values()
    assert (custody.clean_since, custody.in_session) == (None, False)
