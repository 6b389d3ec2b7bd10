"""A canary says what it is going to do, and has many reasons not to do it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.book import Book
from tests.fixtures.terminal import set_broker
from tests.unit.mt5.canary.local import LocalSession, planned, rows_with
from tests.unit.mt5.package import Struct
from worker.domain.errors import NotFound, Refused
from worker.mt5.canary import plan
from worker.mt5.canary.plan import LIQUID


@pytest.fixture(autouse=True)
def nothing_is_sent(book_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(plan, "_PRICE_WITHIN_SECONDS", 0.2)
    yield
    assert Book(book_file).traded() == []


def test_it_says_where_what_and_what_it_costs(book_file: Path) -> None:
    words = planned(LocalSession(book_file)).words

    assert "login 50000001 at Simulated-Demo (simulated, hedging): buy 0.01 lots of EURUSD" in words
    assert "close exactly that position again" in words


@pytest.mark.parametrize(
    ("symbol", "why"),
    [
        ("EURUSD.closed", "order_check refuses to buy EURUSD.closed: 10018 market closed"),
        ("EURUSD.stale", "the market of EURUSD.stale is closed, or has no feed: its last price is .* old"),
        ("EURUSD.notick", "the market of EURUSD.notick is closed, or has no feed: no price has moved"),
        ("EURUSD.crossed", "the price of EURUSD.crossed is unsound"),
        ("EURUSD.disabled", r"cannot be bought on this account \(disabled\)"),
        ("EURUSD.closeonly", r"cannot be bought on this account \(close only\)"),
        ("EURUSD.nomargin", "10019 not enough money"),
    ],
)
def test_a_market_that_cannot_be_traded_is_left_alone(book_file: Path, symbol: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        planned(LocalSession(book_file), symbol)


def test_the_market_s_own_refusal_is_told_before_that_of_a_filling_mode(book_file: Path) -> None:
    def verdict(_true: Any, request: dict[str, Any]) -> Struct:
        return Struct(retcode=10018 if request["type_filling"] == 1 else 10030, comment="")

    with pytest.raises(Refused, match="10018 market closed"):
        planned(LocalSession(book_file, {"order_check": verdict}))


def test_a_symbol_that_is_not_there_is_said(book_file: Path) -> None:
    with pytest.raises(NotFound, match="no symbol NOSUCH: name one with --symbol"):
        planned(LocalSession(book_file), "NOSUCH")


@pytest.mark.parametrize(
    ("switch", "why"),
    [({"trade_allowed": 0}, "algorithmic trading is switched off"), ({"connected": 0}, "disconnected")],
)
def test_a_terminal_that_cannot_trade_is_left_alone(book_file: Path, switch: dict[str, float], why: str) -> None:
    session = LocalSession(book_file)
    set_broker(book_file, **switch)

    with pytest.raises(Refused, match=f"nothing can be sent now: .*{why}"):
        planned(session)


def test_real_money_needs_a_flag(book_file: Path) -> None:
    def live(true: Any) -> Struct:
        return Struct(**true()._asdict() | {"trade_mode": 2})

    session = LocalSession(book_file, {"account_info": live}, backend="native")

    with pytest.raises(Refused, match=r"is a LIVE account: .* say --live-account-really"):
        planned(session)
    assert "(live, hedging)" in planned(session, live=True).words


@pytest.mark.parametrize("function", ["positions_get", "orders_get"])
def test_on_a_netting_account_nothing_of_the_symbol_may_be_open(book_file: Path, function: str) -> None:
    session = LocalSession(book_file, {function: lambda *_, **__: (Struct(ticket=1),)})
    set_broker(book_file, margin_mode=0)

    with pytest.raises(Refused, match="is netting and has an open position or order in EURUSD"):
        planned(session)


def test_without_a_name_the_first_liquid_symbol_is_taken(book_file: Path) -> None:
    assert planned(LocalSession(book_file), *LIQUID).order.symbol == "EURUSD"


def test_a_broker_s_own_ending_is_found_where_the_choice_is_ours(book_file: Path) -> None:
    def only_with_ending(true: Any, name: str, enable: object) -> bool:
        return "." in name and bool(true(name, enable))

    shown = rows_with(name=lambda name: f"{name}.slip", visible=True)
    session = LocalSession(book_file, {"symbol_select": only_with_ending, "symbols_get": shown})

    assert planned(session, *LIQUID).order.symbol == "EURUSD.slip"
    with pytest.raises(NotFound):
        planned(session, "EURUSD")
