"""What may not be sent is not sent, and the confirmation says which check refused it and why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk
from tests.acceptance.oracle import exactly
from tests.fixtures.rpm import LONG, SHORT, JsonObject, approval, changed, rejection
from tests.fixtures.subscriber import Confirmation

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

HALT = "portfolio_state.trading_halted"
KILL = "decision.kill_switch_triggered"


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk() as desk:
        yield desk


def _refused(desk: Desk, message: JsonObject) -> Confirmation:
    """Publish what must not be executed, and check everything that all refusals share."""
    trade = message["decision"]["approved_trade"] or message["decision"]["rejected_trade"]
    confirmed = desk.confirmed(message)
    status = confirmed["status"]
    assert confirmed.routing_key == f"confirmation.{status}.main.{trade['symbol']}"
    assert (confirmed["order_id"], confirmed["deals"], confirmed["fill_price"]) == (None, [], None)
    assert (confirmed["executed_units"], confirmed["executed_lots"]) == (0, 0)
    assert confirmed["trade_id"] == message["decision"]["order_id"]
    assert (confirmed["version"], confirmed["final"]) == (1, True)
    assert len(confirmed["rejection_details"]) > 10
    effective = [one for one in desk.book.traded(trade["symbol"]) if one.deals or one.is_open]
    assert not [one for one in effective if one.ticket == confirmed["order_id"]]
    return confirmed


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [
        ("EURUSD.closed", "market_closed"),
        ("EURUSD.disabled", "symbol_not_tradable"),
        ("EURUSD.closeonly", "symbol_not_tradable"),
        ("EURUSD.wide", "spread_too_wide"),
        ("EURUSD.stale", "stale_tick"),
        ("EURUSD.notick", "no_market_data"),
        ("EURUSD.crossed", "invalid_market_data"),
        ("EURUSD.nomargin", "margin_insufficient"),
        ("EURUSD.jump", "price_moved"),
        ("EURUSD.reject", "broker_rejection"),
        ("EURUSD.nosuchsuffix", "unknown_symbol"),
        ("NOSUCHSYMBOL", "unknown_symbol"),
        ("XAUUSD.wide", "spread_too_wide"),
        ("BTCUSD.nomargin", "margin_insufficient"),
    ],
)
@pytest.mark.parametrize("direction", [LONG, SHORT])
def test_every_check_has_its_own_reason(desk: Desk, symbol: str, reason: str, direction: int) -> None:
    confirmed = _refused(desk, approval(symbol, 10_000.0 if symbol[0] in "EN" else 1.0, direction))

    assert confirmed.outcome == ("rejected", reason)
    assert not [one for one in desk.book.traded(symbol) if one.deals or one.is_open]


def test_what_rpm_rejected_is_confirmed_as_rejected_with_rpms_reason(desk: Desk) -> None:
    confirmed = _refused(desk, rejection("EURUSD", reason="MAX_DRAWDOWN"))

    assert confirmed.outcome == ("rejected", "rpm_rejected")
    assert "MAX_DRAWDOWN" in confirmed["rejection_details"]
    assert confirmed["direction"] == LONG


def test_adjusted_is_as_good_as_approved(desk: Desk) -> None:
    confirmed = desk.confirmed(changed(approval("EURUSD", 4_000.0), "decision.status", "ADJUSTED"))

    assert confirmed.outcome == ("filled", None)


@pytest.mark.parametrize("path", [HALT, KILL])
def test_a_halt_of_rpm_stops_the_trade(desk: Desk, path: str) -> None:
    message = changed(approval("EURUSD"), path, value=True)
    message = changed(message, "portfolio_state.halt_reason", "daily loss limit")
    message = changed(message, "decision.kill_switch_reason", "daily loss limit")

    confirmed = _refused(desk, message)

    assert confirmed.outcome == ("rejected", "trading_halted")
    assert "daily loss limit" in confirmed["rejection_details"]


def test_an_approval_over_its_age_expires(desk: Desk) -> None:
    confirmed = _refused(desk, approval("EURUSD", age=61))

    assert confirmed.outcome == ("expired", "approval_expired")
    assert "60" in confirmed["rejection_details"]


def test_a_naive_time_is_utc_and_an_offset_is_respected(desk: Desk) -> None:
    # Given an approval whose naive time, read in any zone but UTC, would be hours away
    message = approval("EURUSD", 5_000.0)
    naive = message["decision"]["approved_trade"]["timestamp"]
    assert desk.confirmed(message).outcome == ("filled", None)

    # When the same wall clock is said to be Tokyo's, it was nine hours ago
    tokyo = changed(approval("EURUSD", 5_000.0), "decision.approved_trade.timestamp", f"{naive}+09:00")

    assert desk.confirmed(tokyo).outcome == ("expired", "approval_expired")


@pytest.mark.parametrize("age", [-4, 50])
def test_a_small_difference_of_clocks_and_a_young_age_are_fine(desk: Desk, age: float) -> None:
    assert desk.confirmed(approval("EURUSD", 6_000.0, age=age)).outcome == ("filled", None)


@pytest.mark.parametrize(
    ("symbol", "units", "neighbours"),
    [
        ("EURUSD", 12_345.0, ("12000", "13000")),
        ("USDJPY", 1_000.5, ("1000", "2000")),
        ("XAUUSD", 100.5, ("100", "101")),
        ("US500", 12.34, ("12.3", "12.4")),
        ("BTCUSD", 0.355, ("0.35", "0.36")),
    ],
)
def test_a_size_between_two_steps_is_refused_with_the_executable_sizes(
    desk: Desk, symbol: str, units: float, neighbours: tuple[str, str]
) -> None:
    confirmed = _refused(desk, approval(symbol, units))

    assert confirmed.outcome == ("rejected", "volume_not_representable")
    assert all(size in confirmed["rejection_details"].replace(",", "") for size in neighbours)
    assert confirmed["intended_units"] == exactly(units), "never re-sized"


@pytest.mark.parametrize(("symbol", "units"), [("EURUSD", 10_001_000.0), ("BTCUSD", 11.0), ("US500", 250.1)])
def test_a_size_beyond_the_symbols_limits_is_refused(desk: Desk, symbol: str, units: float) -> None:
    confirmed = _refused(desk, approval(symbol, units))

    assert confirmed.outcome == ("rejected", "volume_out_of_range")


def test_a_size_below_the_symbols_minimum_is_refused(desk: Desk) -> None:
    confirmed = _refused(desk, approval("EURUSD", 500.0))

    assert confirmed["status"] == "rejected"
    assert confirmed["rejection_reason"] in {"volume_out_of_range", "volume_not_representable"}
    assert "1000" in confirmed["rejection_details"].replace(",", "")


class TestTheFirstCheckThatFailsDecides:
    """The order of the checks is part of what RPM may rely on."""

    def test_rpms_word_comes_before_its_halt(self, desk: Desk) -> None:
        message = changed(rejection("EURUSD"), HALT, value=True)

        assert _refused(desk, message).outcome == ("rejected", "rpm_rejected")

    def test_a_halt_before_the_age(self, desk: Desk) -> None:
        message = changed(approval("EURUSD", age=100), KILL, value=True)

        assert _refused(desk, message).outcome == ("rejected", "trading_halted")

    def test_the_age_before_the_symbol(self, desk: Desk) -> None:
        assert _refused(desk, approval("NOSUCHSYMBOL", age=100)).outcome == ("expired", "approval_expired")

    def test_tradability_before_the_volume(self, desk: Desk) -> None:
        assert _refused(desk, approval("EURUSD.disabled", 1.5)).outcome == ("rejected", "symbol_not_tradable")

    def test_the_spread_before_the_volume(self, desk: Desk) -> None:
        assert _refused(desk, approval("EURUSD.wide", 12_345.0)).outcome == ("rejected", "spread_too_wide")

    def test_the_volume_before_the_margin(self, desk: Desk) -> None:
        refused = _refused(desk, approval("EURUSD.nomargin", 12_345.0))

        assert refused.outcome == ("rejected", "volume_not_representable")


def test_a_refusal_is_an_answer_not_a_dead_letter(desk: Desk) -> None:
    refused = _refused(desk, approval("EURUSD.closed"))

    assert refused["execution_id"] not in {letter["execution_id"] for letter in desk.listing("dlq", "list")}
