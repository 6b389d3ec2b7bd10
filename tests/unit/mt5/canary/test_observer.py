"""What a canary sees through the terminal, whatever the broker has made of its marks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.mt5.package import Package, a_clock, a_deal_row, a_link, a_position_row, an_order_row
from tests.unit.mt5.test_order_request import an_order
from worker.domain.errors import TerminalUnavailable
from worker.domain.token import comment_of
from worker.mt5.canary.observer import Observer
from worker.mt5.canary.questions import TicketRequest, TraceRequest
from worker.mt5.quotes import Quotes

ORDER, DEAL, MAGIC, COMMENT = 5, 11, 77, f"{comment_of(77)}-canary-678901"


def _observer(package: Package) -> Observer:
    link, clock = a_link(package), a_clock()
    return Observer(link, Quotes(link, clock), clock)


def _request(ticket: int = 0) -> TraceRequest:
    return TraceRequest(datetime.now(UTC) - timedelta(minutes=1), ticket, MAGIC, COMMENT, "EURUSD")


@pytest.mark.parametrize("takes", ["order", "deal", "either", "neither"])
def test_what_the_terminal_takes_for_a_ticket_is_found_out(takes: str) -> None:
    deal = a_deal_row(ticket=DEAL, order=ORDER)

    def by_ticket(*, ticket: int) -> tuple[Any, ...]:
        understood = {"order": {ORDER}, "deal": {DEAL}, "either": {ORDER, DEAL}, "neither": set()}[takes]
        return (deal,) if ticket in understood else ()

    observer = _observer(Package(history_deals_get=by_ticket))

    assert observer.tickets(TicketRequest(ORDER, DEAL)) == takes


@pytest.mark.parametrize(
    "marks",
    [
        {"magic": MAGIC, "comment": "filled by LP-7"},
        {"magic": 0, "comment": COMMENT},
        {"magic": 0, "comment": COMMENT[:15]},
    ],
)
def test_an_order_that_was_not_answered_is_found_by_either_mark(marks: dict[str, Any]) -> None:
    package = Package(
        history_orders_get=(an_order_row(ticket=ORDER, **marks), an_order_row(ticket=6)),
        history_deals_get=(a_deal_row(ticket=DEAL, order=ORDER, **marks),),
        positions_get=(a_position_row(identifier=ORDER, **marks),),
    )

    traces = _observer(package).traces(_request())

    assert traces.ticket == ORDER
    assert traces.order is not None
    assert traces.position is not None
    assert (traces.order.magic, traces.order.comment) == (marks["magic"], marks["comment"])
    assert [deal.ticket for deal in traces.deals] == [DEAL]


def test_an_order_that_was_answered_is_found_without_any_mark() -> None:
    row = an_order_row(ticket=ORDER, magic=0, comment="")

    traces = _observer(Package(history_orders_get=(row, an_order_row(ticket=6)))).traces(_request(ORDER))

    assert traces.order is not None
    assert (traces.order.ticket, traces.order.magic) == (ORDER, 0)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("orders_get", "open orders"),
        ("positions_get", "open positions"),
        ("history_orders_get", "order history"),
        ("history_deals_get", "deal history"),
    ],
)
def test_what_cannot_be_read_is_named(function: str, words: str) -> None:
    package = Package()
    package.fails(function, -1)

    assert words in _observer(package).traces(_request()).unreadable


@pytest.mark.parametrize("function", ["positions_get", "orders_get", "symbol_info_tick"])
def test_without_knowing_what_stands_open_there_is_no_survey(function: str) -> None:
    package = Package()
    package.fails(function, -1)

    with pytest.raises(TerminalUnavailable):
        _observer(package).survey(an_order())
