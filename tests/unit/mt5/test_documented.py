"""What the documentation's own samples are read as, and what every answer proves that it allows."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.mt5.documented import (
    ACCOUNT,
    CANCELLED,
    CHECKED,
    CLOSING,
    DEPOSIT,
    EURJPY,
    GBPUSD_TICK,
    OPENING,
    POSITION,
    SENT,
    TERMINAL,
    changed,
)
from tests.unit.mt5.package import NAMESPACE, TOKEN, Package, a_clock
from worker.domain.errors import TerminalUnavailable
from worker.domain.market import NotSentReason, OrderRequest, PollRequest, SearchRequest, SendReport, SendStatus
from worker.domain.outcomes import Proof, judge
from worker.domain.token import comment_of, token_in
from worker.domain.trade import Direction
from worker.mt5 import order_request, readings, session_process, wire
from worker.mt5.link import Link
from worker.mt5.quotes import Quotes
from worker.mt5.searching import Searcher
from worker.mt5.sending import Sender
from worker.mt5.session_process import Desk
from worker.mt5.simulated import constants
from worker.mt5.wire import Opening

NOW = datetime(2022, 9, 26, 14, tzinfo=UTC)
ZERO = Decimal(0)
READY = changed(TERMINAL, trade_allowed=True)
ORDER = OrderRequest(
    symbol="USDJPY",
    direction=Direction.LONG,
    lots=Decimal("0.1"),
    magic=TOKEN,
    comment=comment_of(TOKEN),
    worst_price=Decimal(150),
    send_before=NOW + timedelta(seconds=2),
    send_before_monotonic=2.0,
    login=25115284,
    server="MetaQuotes-Demo",
)
USDJPY = changed(EURJPY, name="USDJPY")
USDJPY_TICK = changed(GBPUSD_TICK, bid=144.124, ask=144.132)
OURS = {"magic": TOKEN, "comment": comment_of(TOKEN)}
# Every code of the package that says that a request was refused or is to be repeated, by what it proves.
RETRY = {10004, 10020, 10021, 10024, 10028}
WAIT = {10026, 10027}
ACCEPTED = {10008, 10009, 10010}
REFUSED = {10006, 10007, *range(10013, 10020), 10022, 10030, *range(10032, 10036), 10038, 10040, *range(10042, 10046)}
OpenDesk = Callable[[Package], Desk]
CODES = {value for name, value in vars(constants).items() if name.startswith("TRADE_RETCODE_")}


def documented(**answers: Any) -> Package:
    """Return the package, which answers everything as the documentation shows it."""
    return Package(
        **{
            "terminal_info": READY,
            "account_info": ACCOUNT,
            "symbol_info": USDJPY,
            "symbol_info_tick": USDJPY_TICK,
            "order_check": CHECKED,
            "order_send": SENT,
            "history_deals_get": (DEPOSIT,),
            "symbols_get": (),
        }
        | answers
    )


def in_time(order: OrderRequest) -> OrderRequest:
    """Return the order with a deadline that a real clock has not passed."""
    moment = datetime.now(UTC) + timedelta(seconds=60)
    return replace(order, send_before=moment, send_before_monotonic=time.monotonic() + 60)


def linked(package: Package) -> Link:
    link = Link(package, Opening("main", "native", terminal=r"E:\ProgramFiles\MetaTrader 5\terminal64.exe"))
    link.open()
    return link


def sent(package: Package) -> SendReport:
    link = linked(package)
    return Sender(link, Quotes(link, a_clock()), lambda: NOW, lambda: 0.0).submit(ORDER)


def searched(package: Package, *symbols: str) -> Any:
    link = linked(package)
    request = SearchRequest(NOW - timedelta(hours=1), frozenset({NAMESPACE}), frozenset(symbols))
    return Searcher(link, Quotes(link, a_clock()), a_clock(), lambda: NOW).search(request)


def test_terminal_and_account_tell_that_nothing_can_be_sent_in_that_sample() -> None:
    health = linked(documented(terminal_info=TERMINAL)).health()
    assert "Algo Trading" in str(health.problem)
    assert (health.login, health.server, health.account_mode, health.venue_mode) == (
        25115284,
        "MetaQuotes-Demo",
        "hedging",
        "demo",
    )
    assert health.margin_free == Decimal("99455.04")


def test_a_symbol_is_read_to_the_last_digit() -> None:
    instrument = readings.instrument(EURJPY)
    assert (instrument.point, instrument.tick_size) == (Decimal("0.001"), Decimal("0.001"))
    assert (instrument.contract_size, instrument.volume_step) == (Decimal(100_000), Decimal("0.01"))
    assert (instrument.volume_min, instrument.volume_max, instrument.volume_limit) == (
        Decimal("0.01"),
        Decimal(500),
        ZERO,
    )
    assert order_request.fillings(instrument) == (0, 1)  # instant execution fills whole; the flag says so, too


def test_a_tick_is_read_to_the_last_digit() -> None:
    link = linked(documented(symbol_info_tick=GBPUSD_TICK))
    tick = Quotes(link, a_clock()).tick(readings.instrument(changed(EURJPY, name="GBPUSD", digits=5, point=1e-05)))
    assert tick is not None
    assert (tick.bid, tick.ask, tick.time) == (Decimal("1.17264"), Decimal("1.17279"), None)


def test_an_executed_request_is_accepted_and_told_with_everything_the_broker_said() -> None:
    report = sent(documented())
    assert judge(report).proof is Proof.ACCEPTED
    assert (report.order_ticket, report.deal_ticket, report.detail) == (1468026008, 1445796125, "Request executed")
    assert report.reply is not None
    assert json.loads(json.dumps(report.reply))["request"]["comment"] == "python script open"


@pytest.mark.parametrize("retcode", [10008, 10009, 10010])
def test_what_is_accepted_without_a_deal_is_accepted_and_not_filled(retcode: int) -> None:
    report = sent(documented(order_send=changed(SENT, retcode=retcode, deal=0, price=0.0, volume=0.0)))
    assert judge(report).proof is Proof.ACCEPTED
    assert (report.deal_ticket, report.order_ticket) == (0, 1468026008)


@pytest.mark.parametrize("retcode", sorted(CODES | {0, 1, 10003, 10005, 10037, 10046, 99999, -1}))
def test_every_code_proves_what_the_documentation_says_and_every_other_one_nothing(retcode: int) -> None:
    proof = judge(sent(documented(order_send=changed(SENT, retcode=retcode, order=0, deal=0)))).proof
    expected = {Proof.RETRY: RETRY, Proof.WAIT: WAIT, Proof.ACCEPTED: ACCEPTED, Proof.REFUSED: REFUSED}
    assert proof is next((proof for proof, codes in expected.items() if retcode in codes), Proof.AMBIGUOUS)


@pytest.mark.parametrize(
    ("code", "proof"),
    [
        (-8, Proof.WAIT),  # the package asks the terminal before it sends
        (-10004, Proof.WAIT),  # no connection before the call
        (-2, Proof.REFUSED),  # it reads its arguments before it sends
        *(
            (code, Proof.AMBIGUOUS)
            for code in (1, -1, -3, -4, -5, -6, -7, -9999, -10000, -10001, -10002, -10003, -10005)
        ),
    ],
)
def test_no_answer_proves_only_what_its_error_says(code: int, proof: Proof) -> None:
    package = documented()
    package.fails("order_send", code)
    report = sent(package)
    assert (report.status, report.last_error) == (SendStatus.NO_ANSWER, code)
    assert report.answered_at is not None
    assert judge(report).proof is proof


def test_a_check_that_refuses_stops_before_the_send() -> None:
    package = documented(order_check=changed(CHECKED, retcode=10019, comment="No money"))
    assert sent(package).status is SendStatus.NOT_SENT
    assert package.count("order_send") == 0


def test_a_terminal_that_has_become_another_one_gets_no_order() -> None:
    package = documented()
    link = linked(package)
    package.answers["terminal_info"] = changed(READY, path=r"C:\Program Files\MetaTrader 5")
    report = Sender(link, Quotes(link, a_clock()), lambda: NOW, lambda: 0.0).submit(ORDER)
    assert (report.status, report.reason) == (SendStatus.NOT_SENT, NotSentReason.TERMINAL)
    assert "expected E:" in report.detail


def test_orders_deals_and_positions_are_read_to_the_last_digit() -> None:
    order = readings.order(CANCELLED, historical=True)
    assert (order.ticket, order.state, order.volume_initial, order.executed) == (
        1437318706,
        2,
        Decimal("0.01"),
        ZERO,
    )
    assert order.is_over
    deal = readings.deal(OPENING, NOW, {})
    assert (deal.ticket, deal.order, deal.position_id, deal.magic) == (1445796125, 1468026008, 1468026008, 234000)
    assert (deal.volume, deal.price, deal.commission, deal.fee) == (Decimal("0.1"), Decimal("144.132"), ZERO, ZERO)
    position = readings.position(POSITION)
    assert (position.ticket, position.opened_by, position.volume) == (1468454363, 1468454363, Decimal("0.01"))


def test_a_deposit_is_a_witness_and_no_trade() -> None:
    search = searched(documented())
    assert (search.readable, search.newest_deal, search.deals, search.strangers) == (True, 1109160642, (), ())


def test_other_programs_deals_are_strangers_only_without_any_mark() -> None:
    unmarked = changed(CLOSING, magic=0, comment="")
    search = searched(documented(history_deals_get=(DEPOSIT, OPENING, unmarked)), "USDJPY")
    assert [deal.ticket for deal in search.strangers] == [unmarked.ticket]


@pytest.mark.parametrize("kept", [31, 29, 16, 15])
def test_a_comment_cut_as_brokers_cut_them_still_holds_the_token(kept: int) -> None:
    # BOOK's deals show 16 characters of a comment; the terminal itself takes 29 and others are said to keep 31.
    row = changed(OPENING, magic=0, comment=comment_of(TOKEN)[:kept])
    assert readings.token_of(row) == TOKEN


@pytest.mark.parametrize("comment", [comment_of(TOKEN)[:14], f"[sl] {comment_of(TOKEN)}", "python script op", ""])
def test_a_comment_that_is_cut_shorter_or_written_over_says_nothing_and_the_magic_does(comment: str) -> None:
    assert token_in(comment) is None
    assert readings.token_of(changed(OPENING, magic=TOKEN, comment=comment)) == TOKEN
    assert readings.token_of(changed(OPENING, magic=0, comment=comment)) == 0


def test_on_a_netting_account_a_position_is_known_by_its_identifier_whatever_its_ticket_becomes() -> None:
    # "Position properties" (mql5.com/en/docs/constants/tradingconstants/positionproperties): a reversal changes the
    # ticket to that of the order that reversed it, and leaves the identifier.
    opened = changed(POSITION, **OURS)
    turned = changed(opened, ticket=1468475849, type=0)
    for row in (opened, turned):
        assert readings.position(row).opened_by == 1468454363


@pytest.mark.parametrize("function", ["orders_get", "positions_get", "history_orders_get", "history_deals_get"])
def test_one_look_up_that_fails_makes_the_whole_unreadable(function: str) -> None:
    package = documented()
    package.fails(function, -1, "Terminal: Call failed")
    search = searched(package)
    assert (search.readable, search.lacks_witness) == (False, False)
    assert search.detail


def test_a_history_that_is_loaded_in_part_is_not_whole() -> None:
    request = SearchRequest(NOW, frozenset({NAMESPACE}), witness=CLOSING.ticket)
    link = linked(documented(history_deals_get=(DEPOSIT, OPENING)))
    search = Searcher(link, Quotes(link, a_clock()), a_clock(), lambda: NOW).search(request)
    assert (search.readable, search.lacks_witness, search.newest_deal) == (False, True, OPENING.ticket)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenDesk]:
    """Open a session's desk over the documented package; its answers are read as the parent reads them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    opened = []

    def open_desk(package: Package) -> Desk:
        monkeypatch.setattr(session_process, "_link", lambda opening: Link(package, opening))
        desk = Desk()
        opened.append(desk)
        wire.OPEN.read_answer(*desk.answers(wire.OPEN.ask(Opening("main", "native"))))
        return desk

    yield open_desk
    for desk in opened:
        desk.close()


class Halved:
    """A structure of a package that has lost fields, or of another version of it."""

    retcode = 10009


@pytest.mark.parametrize("answer", [Halved(), (10009, 1, 2), 10009, True])
def test_a_send_answered_by_what_cannot_be_read_is_ambiguous(
    desk: OpenDesk, answer: object, capfd: pytest.CaptureFixture[str]
) -> None:
    package = documented(order_send=answer)
    (told,) = desk(package).answers(wire.SUBMIT.ask(in_time(ORDER)))
    assert package.count("order_send") == 1
    with pytest.raises(wire.Defect):  # which the parent makes a send without an answer
        wire.SUBMIT.read_answer(told)
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize("wrong", [{"volume": "0.1"}, {"price": None}, {"magic": None}, {"symbol": None}])
def test_a_row_of_wrong_types_makes_the_look_fail_and_never_look_empty(
    desk: OpenDesk, wrong: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    rows = (DEPOSIT, changed(OPENING, **(OURS | wrong)))
    poll = wire.POLL.ask(PollRequest(NOW, frozenset({NAMESPACE})))
    search = wire.SEARCH.ask(SearchRequest(NOW, frozenset({NAMESPACE})))
    opened = desk(documented(history_deals_get=rows))
    for command, line in ((wire.POLL, poll), (wire.SEARCH, search)):
        with pytest.raises(TerminalUnavailable):
            command.read_answer(*opened.answers(line))
    capfd.readouterr()


@pytest.mark.parametrize("price", [math.nan, math.inf])
def test_a_price_that_is_no_number_stops_the_send(desk: Any, price: float, capfd: pytest.CaptureFixture[str]) -> None:
    package = documented(symbol_info_tick=changed(USDJPY_TICK, bid=price, ask=price))
    opened = desk(package)
    try:
        report = wire.SUBMIT.read_answer(*opened.answers(wire.SUBMIT.ask(in_time(ORDER))))
    except TerminalUnavailable:
        report = None
    assert package.count("order_send") == 0
    assert report is None or report.status is SendStatus.NOT_SENT
    capfd.readouterr()
