"""Everything that the simulated broker can do, at once, on one worker: each trade ends as its symbol says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.acceptance.oracle import check_execution, check_run, orders_of
from tests.fixtures.rpm import LONG, SHORT, Sent, approval
from tests.fixtures.subscriber import Confirmation

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

PATIENCE = 100.0
UNITS = {"EURUSD": 20_000.0, "USDJPY": 30_000.0, "XAUUSD": 40.0}
FILLED = ("", "slip", "multi", "slow", "race", "requote", "timeout", "lostreply", "notsent", "hidden", "nocomment")
ENDS: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys(FILLED, ("filled", None)),
    "partial": ("partially_filled", None),
    "pending": ("expired", "order_timeout"),
    "late": ("filled", None),  # in its second version
    "reject": ("rejected", "broker_rejection"),
    "neversent": ("error", "network_error"),
    "nohistory": ("unresolved", "outcome_unknown"),
    "closed": ("rejected", "market_closed"),
    "disabled": ("rejected", "symbol_not_tradable"),
    "closeonly": ("rejected", "symbol_not_tradable"),
    "wide": ("rejected", "spread_too_wide"),
    "stale": ("rejected", "stale_tick"),
    "notick": ("rejected", "no_market_data"),
    "crossed": ("rejected", "invalid_market_data"),
    "nomargin": ("rejected", "margin_insufficient"),
    "jump": ("rejected", "price_moved"),
}
# Each of these takes the terminal away from all others for a while
HANGS = ("EURUSD.hang", "USDJPY.hangnot")
ATTEMPTS = {"notsent": 2, "hangnot": 2, "neversent": 3, "requote": 3}


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(
        ORDER_TIMEOUT_SECONDS="3",
        UNKNOWN_HORIZON_SECONDS="3",
        TERMINAL_CALL_TIMEOUT_SECONDS="2",
        MAX_TRADE_AGE_SECONDS="120",
    ) as desk:
        yield desk


@pytest.fixture(scope="module")
def run(desk: Desk) -> list[Sent]:
    """Publish every behaviour on every base symbol, the slow ones first, and wait until all of it has ended."""
    symbols = [".".join(filter(None, pair)) for pair in product(UNITS, ENDS)]
    run = [desk.publish(_trade(symbol)) for symbol in ["EURUSD.neversent", *HANGS]]
    run += [desk.publish(_trade(symbol)) for symbol in symbols if symbol != "EURUSD.neversent"]
    for sent in run:
        _last(desk, sent)
    return run


def _trade(symbol: str) -> dict[str, object]:
    base = symbol.partition(".")[0]
    return approval(symbol, UNITS[base], SHORT if base == "USDJPY" else LONG)


def _suffix(sent: Sent) -> str:
    return str(sent.approved["symbol"]).partition(".")[2]


def _expected(sent: Sent) -> tuple[str, str | None]:
    return ENDS.get(_suffix(sent), ("filled", None))


def _last(desk: Desk, sent: Sent) -> Confirmation:
    """Wait for the confirmation that says how the trade ended."""
    return desk.downstream.wait_for_any(
        lambda one: one.correlation_id == sent.correlation and one.outcome == _expected(sent), timeout=PATIENCE
    )


def test_every_trade_ends_as_its_symbol_says(desk: Desk, run: list[Sent]) -> None:
    assert len(run) >= 60

    latest = check_run(desk, run, unresolved_allowed=True)

    ends = {sent.approved["symbol"]: latest[str(sent.order_id)].outcome for sent in run}
    assert ends == {sent.approved["symbol"]: _expected(sent) for sent in run}


def test_every_execution_is_told_as_it_is_in_the_book(desk: Desk, run: list[Sent]) -> None:
    for sent in run:
        last = _last(desk, sent)
        if last["executed_lots"]:
            (traded,) = [one for one in orders_of(desk, sent) if one.deals]
            check_execution(last, traded, symbol=sent.approved["symbol"])


def test_no_trade_was_sent_more_often_than_it_had_to_be(desk: Desk, run: list[Sent]) -> None:
    sent_at_all = [sent for sent in run if _last(desk, sent)["submitted_at"]]

    attempts = {sent.approved["symbol"]: _last(desk, sent)["attempts"] for sent in sent_at_all}

    assert attempts == {sent.approved["symbol"]: ATTEMPTS.get(_suffix(sent), 1) for sent in sent_at_all}


def test_only_what_needs_a_person_became_a_dead_letter(desk: Desk, run: list[Sent]) -> None:
    for_a_person = {sent.order_id for sent in run if _expected(sent)[0] in {"error", "unresolved"}}

    eventually(
        lambda: {one["trade_id"] for one in desk.listing("dlq", "list")} == for_a_person,
        f"the dead letters are not those of {for_a_person}",
    )


def test_nothing_of_it_is_a_defect(desk: Desk, run: list[Sent]) -> None:
    assert run

    assert "Traceback" not in desk.worker.log
    assert "execution_failed" not in desk.worker.log
