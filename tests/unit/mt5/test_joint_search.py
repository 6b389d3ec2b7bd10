"""Several terminals' searches as one: what any of them shows is there, and no other word is taken for a look."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from worker.domain.market import BrokerOrder, Search
from worker.mt5.joint_search import together


def a_search(sender: str, ticket: int, **changes: Any) -> Search:
    order = BrokerOrder(ticket, 1, "EURUSD", 1, Decimal(1), Decimal(1), 0, "", historical=False)
    return replace(Search(readable=True, orders=(order,), looked_by=frozenset({sender})), **changes)


def tickets(search: Search) -> list[int]:
    return [order.ticket for order in search.orders]


def test_what_any_of_them_shows_is_there_and_what_any_could_not_read_is_not_read() -> None:
    first = a_search("a", 7, unreadable_symbols=frozenset({"EURUSD"}), newest_deal=5)
    second = a_search("b", 8, unreadable_symbols=frozenset({"GBPUSD"}), newest_deal=9)
    both = together([first, second])
    assert (tickets(both), both.newest_deal) == ([7, 8], 9)
    assert both.looked_by == {"a", "b"}
    assert both.unreadable_symbols == {"EURUSD", "GBPUSD"}


def test_one_that_could_not_look_adds_nothing() -> None:
    blind = Search(readable=False, detail="it is busy")
    for searches in ([a_search("a", 7), blind], [blind, a_search("a", 7)]):
        both = together(searches)
        assert (both.readable, tickets(both)) == (True, [7])
        assert both.looked_by == {"a"}


def test_when_nobody_could_look_the_first_tells_why() -> None:
    both = together([Search(readable=False, detail="logged out", lacks_witness=True), Search(readable=False)])
    assert (both.readable, both.detail, both.lacks_witness, both.newest_deal) == (False, "logged out", True, None)
