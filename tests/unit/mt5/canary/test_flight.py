"""A canary comes down again, whatever the broker does, and says what it could not close."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.book import Book
from tests.fixtures.terminal import set_broker
from tests.unit.mt5.canary.local import Answer, LocalSession, after, planned, rows_with
from tests.unit.mt5.package import Struct
from worker.domain.broker_facts import BrokerFacts, Kept
from worker.domain.errors import LeftOpen, Refused, TerminalUnavailable
from worker.domain.token import CANARY_NAMESPACE, namespace_of
from worker.mt5.canary import flight, leg
from worker.mt5.canary.flight import Flight
from worker.mt5.canary.measure import facts_of

SHORT = 0.3  # seconds of patience, where waiting is in vain


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flight, "_PAUSES", (0.0,) * 5)


def _fly(session: Any, symbol: str = "EURUSD", patience: float = 5.0) -> BrokerFacts:
    plan = planned(session, symbol)
    return facts_of(plan, Flight(session, plan, patience).fly())


def _refuse_to_close(true: Answer, request: dict[str, Any]) -> Any:
    if "position" not in request:
        return true(request)
    return Struct(retcode=10006, order=0, deal=0, comment="Request rejected")


def _open_orders(book: Book) -> list[int]:
    return [row["ticket"] for row in book.rows("orders") if row["time_done"] == 0]


@pytest.mark.parametrize("margin_mode", [0, 2], ids=["netting", "hedging"])
def test_it_opens_the_smallest_volume_and_closes_exactly_that(book_file: Path, margin_mode: int) -> None:
    session = LocalSession(book_file)
    set_broker(book_file, margin_mode=margin_mode)

    facts = _fly(session)

    book = Book(book_file)
    assert [(one.lots, one.order["type"]) for one in book.traded()] == [(Decimal("0.01"), 0), (Decimal("0.01"), 1)]
    assert book.rows("positions") == []
    assert {namespace_of(order.magic) for order in session.sent} == {CANARY_NAMESPACE}
    assert (facts.order, facts.deal, facts.position) == (Kept(magic=True, comment=29),) * 3
    assert (facts.keeps_magic, facts.keeps_comment, facts.retcode) == (True, True, 10009)
    assert facts.account_mode == ("hedging" if margin_mode else "netting")
    assert facts.clock_offset == 7200
    assert abs(facts.clock_error) < 1
    assert 0 <= facts.lags.longest < 2
    assert facts.commission < 0
    assert facts.latencies.keys() >= {"order_send", "order_check", "history_deals_get"}


def test_positions_of_others_on_a_hedging_account_stay_as_they_are(book_file: Path) -> None:
    # Given somebody's position in the same symbol
    session = LocalSession(book_file)
    plan = planned(session)
    session.submit(replace(plan.opening(1), lots=Decimal("0.5"), magic=5, comment="mine"))
    (before,) = Book(book_file).rows("positions")

    # When a canary flies
    _fly(session)

    # Then that position is all that stands open
    (after_it,) = Book(book_file).rows("positions")
    assert (after_it["ticket"], after_it["volume"], after_it["magic"]) == (before["ticket"], 0.5, 5)


@pytest.mark.parametrize(("characters", "enough"), [(16, True), (15, True), (14, False), (0, False)])
def test_a_comment_that_is_cut_is_measured(book_file: Path, characters: int, *, enough: bool) -> None:
    cut = rows_with(comment=lambda comment: comment[:characters])
    session = LocalSession(book_file, {"history_deals_get": cut})

    facts = _fly(session)

    assert (facts.order.comment, facts.deal.comment, facts.position.comment) == (29, characters, 29)
    assert facts.keeps_comment is enough


@pytest.mark.parametrize(
    ("function", "kept"),
    [("history_orders_get", False), ("history_deals_get", False), ("positions_get", True)],
)
def test_a_magic_that_is_dropped_is_noticed(book_file: Path, function: str, *, kept: bool) -> None:
    facts = _fly(LocalSession(book_file, {function: rows_with(magic=0)}))

    assert facts.keeps_magic is kept
    assert [facts.order.magic, facts.deal.magic, facts.position.magic].count(False) == 1


def test_a_magic_that_lost_its_upper_bits_is_not_kept(book_file: Path) -> None:
    facts = _fly(LocalSession(book_file, {"history_deals_get": rows_with(magic=lambda magic: int(float(magic)))}))

    assert facts.keeps_magic is False


def test_what_shows_late_makes_the_lag(book_file: Path) -> None:
    session = LocalSession(book_file)
    plan = planned(session)
    late = LocalSession(book_file, {"history_deals_get": after(4)})

    facts = facts_of(plan, Flight(late, plan, 5).fly())  # type: ignore[arg-type] # what it needs of a session

    assert facts.lags.deal > facts.lags.order
    assert facts.lags.longest == facts.lags.deal


def test_replies_that_are_lost_do_not_lose_the_position(book_file: Path) -> None:
    facts = _fly(LocalSession(book_file), "EURUSD.lostreply")

    assert facts.retcode is None
    assert Book(book_file).rows("positions") == []
    assert len(Book(book_file).traded()) == 2


def test_a_close_that_is_done_in_parts_is_finished(book_file: Path) -> None:
    session = LocalSession(book_file)
    plan = planned(session, "EURUSD.partial")
    larger = replace(plan, order=replace(plan.order, lots=Decimal("0.1")))

    Flight(session, larger, SHORT).fly()  # type: ignore[arg-type] # what it needs of a session

    assert Book(book_file).rows("positions") == []
    assert len(session.sent) > 2


def test_an_order_that_is_never_executed_is_cancelled(book_file: Path) -> None:
    with pytest.raises(Refused, match="accepted and never executed; it is over, nothing stands open"):
        _fly(LocalSession(book_file), "EURUSD.pending", SHORT)

    assert _open_orders(Book(book_file)) == []


def test_an_order_that_is_refused_leaves_nothing(book_file: Path) -> None:
    with pytest.raises(Refused, match="not executed, nothing stands open: 10006"):
        _fly(LocalSession(book_file), "EURUSD.reject")

    assert Book(book_file).traded() == []


def test_a_requote_is_tried_again(book_file: Path) -> None:
    _fly(LocalSession(book_file), "EURUSD.requote")

    assert Book(book_file).rows("positions") == []


def test_a_position_that_cannot_be_closed_is_told_loudly(book_file: Path) -> None:
    session = LocalSession(book_file, {"order_send": _refuse_to_close})

    with pytest.raises(LeftOpen, match="STILL OPEN at login 50000001, Simulated-Demo") as told:
        _fly(session)

    (position,) = Book(book_file).rows("positions")
    assert f"position {position['ticket']}, 0.01 lots of EURUSD" in str(told.value)
    assert "10006 request rejected. Close it by hand" in str(told.value)


def test_a_close_that_was_taken_and_not_done_is_never_sent_twice(book_file: Path) -> None:
    def take_and_do_nothing(true: Answer, request: dict[str, Any]) -> Any:
        return true(request) if "position" not in request else Struct(retcode=10009, order=9, deal=9, comment="")

    session = LocalSession(book_file, {"order_send": take_and_do_nothing})

    with pytest.raises(LeftOpen, match="Closing it failed: 10009 request completed"):
        _fly(session, patience=SHORT)

    assert [bool(order.closes) for order in session.sent] == [False, True]


def test_a_terminal_that_is_away_for_a_while_is_waited_for(book_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a session that is being replaced when the canary first looks, and again when it comes down
    monkeypatch.setattr(leg, "_BETWEEN_TRIES", 0.0)
    session = LocalSession(book_file)
    plan = planned(session)
    true, away = session.call, [TerminalUnavailable("its process has ended")] * 2

    def call(command: Any, request: Any) -> Any:
        if away and len(session.sent) == 3 - len(away):
            raise away.pop()
        return true(command, request)

    monkeypatch.setattr(session, "call", call)

    # When it flies
    Flight(session, plan, 5).fly()  # type: ignore[arg-type] # what it needs of a session

    # Then it has come down all the same
    assert away == []
    assert Book(book_file).rows("positions") == []


def test_a_position_that_never_shows_is_told_with_all_that_finds_it(book_file: Path) -> None:
    blind: dict[str, Answer] = {
        name: (lambda *_, **__: ()) for name in ("positions_get", "history_orders_get", "history_deals_get")
    }
    session = LocalSession(book_file, blind)

    with pytest.raises(LeftOpen, match="MAY BE OPEN") as told:
        _fly(session, patience=SHORT)

    (order,) = [one.order for one in Book(book_file).traded()]
    said = re.search(r"order (\d+) .* magic (\d+)", str(told.value))
    assert said is not None
    assert (int(said[1]), int(said[2])) == (order["ticket"], order["magic"])


def test_a_history_that_stays_incomplete_is_no_measurement_but_the_position_is_closed(book_file: Path) -> None:
    session = LocalSession(book_file, {"history_deals_get": lambda *_, **__: ()})

    with pytest.raises(Refused, match=r"did not show all records .*\(deal\)\. The position is closed again"):
        _fly(session, patience=SHORT)

    assert Book(book_file).rows("positions") == []
