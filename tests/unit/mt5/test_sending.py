"""Before `order_send` every doubt means not sent; afterwards nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.mt5.package import Package, Struct, a_clock, a_link, a_terminal, a_tick, an_account
from worker.domain.errors import TerminalUnavailable
from worker.domain.market import NotSentReason, OrderRequest, SendReport, SendStatus
from worker.domain.trade import Direction
from worker.mt5.quotes import Quotes
from worker.mt5.sending import Sender
from worker.mt5.wire import CancelRequest

NOW = datetime(2026, 1, 5, tzinfo=UTC)
ORDER = OrderRequest(
    symbol="EURUSD",
    direction=Direction.LONG,
    lots=Decimal("0.1"),
    magic=77,
    comment="mw77",
    worst_price=Decimal("1.10100"),
    send_before=NOW + timedelta(seconds=2),
    send_before_monotonic=102.0,
    login=7,
    server="S",
)


def a_sender(
    package: Package, now: Callable[[], datetime] = lambda: NOW, monotonic: Callable[[], float] = lambda: 100.0
) -> Sender:
    link = a_link(package)
    return Sender(link, Quotes(link, a_clock()), now, monotonic)


def stopped(package: Package, report: SendReport) -> NotSentReason | None:
    """Return why the order was not sent, having made sure that it was not."""
    assert package.count("order_send") == 0
    assert report.status is SendStatus.NOT_SENT
    return report.reason


def test_an_order_is_checked_priced_again_and_sent_once() -> None:
    package = Package(symbol_info_tick=[a_tick(1.1), a_tick(1.10030)])
    report = a_sender(package).submit(ORDER)
    assert (report.status, report.retcode, report.order_ticket, report.deal_ticket) == (
        SendStatus.ANSWERED,
        10009,
        1,
        11,
    )
    assert package.calls[-3:] == ["order_check", "symbol_info_tick", "order_send"]
    checked, sent = package.requests
    assert (checked["price"], checked["deviation"]) == (1.1, 100)
    assert (sent["price"], sent["deviation"]) == (1.1003, 70)
    assert report.request == sent
    assert report.sent_at == report.answered_at == NOW


@pytest.mark.parametrize("late", [{"now": lambda: NOW + timedelta(seconds=3)}, {"monotonic": lambda: 103.0}])
def test_a_passed_deadline_stops_before_anything_is_asked(late: dict[str, Any]) -> None:
    package = Package()
    assert stopped(package, a_sender(package, **late).submit(ORDER)) is NotSentReason.DEADLINE
    assert package.calls == []


def test_a_deadline_that_passes_during_the_checks_stops_too() -> None:
    times = iter([100.0, 103.0])
    package = Package()
    assert stopped(package, a_sender(package, monotonic=lambda: next(times)).submit(ORDER)) is NotSentReason.DEADLINE
    assert package.count("order_check") == 1


@pytest.mark.parametrize(
    ("terminal", "account", "reason"),
    [
        (a_terminal(connected=False), an_account(), NotSentReason.TERMINAL),
        (a_terminal(trade_allowed=False), an_account(), NotSentReason.TERMINAL),
        (a_terminal(tradeapi_disabled=True), an_account(), NotSentReason.TERMINAL),
        (None, an_account(), NotSentReason.TERMINAL),
        (a_terminal(), an_account(trade_allowed=False), NotSentReason.TERMINAL),
        (a_terminal(), an_account(trade_expert=False), NotSentReason.TERMINAL),
        (a_terminal(), an_account(login=8), NotSentReason.WRONG_ACCOUNT),
        (a_terminal(), an_account(server="T"), NotSentReason.WRONG_ACCOUNT),
        (a_terminal(), None, NotSentReason.TERMINAL),
    ],
)
def test_a_terminal_that_may_not_trade_gets_no_order(terminal: Any, account: Any, reason: NotSentReason) -> None:
    package = Package()
    sender = a_sender(package)
    package.answers |= {"terminal_info": terminal, "account_info": account}
    assert stopped(package, sender.submit(ORDER)) is reason
    assert package.count("order_check") == 0


def test_a_price_that_moves_during_the_check_stops() -> None:
    package = Package(symbol_info_tick=[a_tick(1.1), a_tick(1.10101)])
    report = a_sender(package).submit(ORDER)
    assert stopped(package, report) is NotSentReason.PRICE_MOVED
    assert "1.10101" in report.detail
    assert "1.101" in report.detail


@pytest.mark.parametrize("ticks", [[None], [a_tick(), None], [a_tick(time_msc=0)]])
def test_without_a_price_nothing_is_sent(ticks: list[Any]) -> None:
    package = Package(symbol_info_tick=ticks)
    assert stopped(package, a_sender(package).submit(ORDER)) is NotSentReason.NO_PRICE


def test_a_refused_check_stops_with_its_code() -> None:
    package = Package(order_check=Struct(retcode=10019, comment="No money"))
    report = a_sender(package).submit(ORDER)
    assert stopped(package, report) is NotSentReason.CHECK_FAILED
    assert report.retcode == 10019


def test_a_wrong_filling_mode_is_replaced_by_the_next_before_sending() -> None:
    package = Package(order_check=[Struct(retcode=10030, comment="filling"), Struct(retcode=0, comment="Done")])
    assert a_sender(package).submit(ORDER).status is SendStatus.ANSWERED
    assert [request["type_filling"] for request in package.requests] == [1, 0, 0]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (-2, NotSentReason.INVALID_REQUEST),
        (-1, NotSentReason.CHECK_FAILED),
        (-10004, NotSentReason.TERMINAL),
        (-10002, NotSentReason.TERMINAL),
    ],
)
def test_a_check_without_an_answer_stops(code: int, reason: NotSentReason) -> None:
    package = Package()
    package.fails("order_check", code)
    assert stopped(package, a_sender(package).submit(ORDER)) is reason


@pytest.mark.parametrize("code", [-2, -8, -1, -10000, -10001, -10002, -10004])
def test_a_send_without_an_answer_is_told_as_it_is(code: int) -> None:
    package = Package()
    package.fails("order_send", code, "why")
    report = a_sender(package).submit(ORDER)
    assert (report.status, report.last_error, report.detail) == (SendStatus.NO_ANSWER, code, "why")
    assert report.request["magic"] == ORDER.magic
    assert package.count("order_send") == 1


def test_an_unknown_symbol_is_an_invalid_request() -> None:
    package = Package(symbol_select=False)
    package.error = (-4, "not found")
    assert stopped(package, a_sender(package).submit(ORDER)) is NotSentReason.INVALID_REQUEST


def test_a_short_order_is_priced_at_the_bid() -> None:
    package = Package(symbol_info_tick=a_tick(1.1))
    a_sender(package).submit(replace(ORDER, direction=Direction.SHORT, worst_price=Decimal("1.09900")))
    assert (package.requests[-1]["type"], package.requests[-1]["price"], package.requests[-1]["deviation"]) == (
        1,
        1.0999,
        90,
    )


def test_a_cancel_is_one_request() -> None:
    package = Package()
    report = a_sender(package).cancel(CancelRequest(5, "EURUSD"))
    assert (report.retcode, report.request) == (10009, {"action": 8, "order": 5, "symbol": "EURUSD"})


@pytest.mark.parametrize("code", [-2, -8, -10004])
def test_a_cancel_that_did_not_leave_is_an_error(code: int) -> None:
    package = Package()
    package.fails("order_send", code)
    with pytest.raises(TerminalUnavailable, match="order 5 was not cancelled"):
        a_sender(package).cancel(CancelRequest(5, "EURUSD"))


def test_a_cancel_that_may_have_left_is_told_as_it_is() -> None:
    package = Package()
    package.fails("order_send", -10002, "lost")
    report = a_sender(package).cancel(CancelRequest(5, "EURUSD"))
    assert (report.retcode, report.last_error, report.detail) == (None, -10002, "lost")
