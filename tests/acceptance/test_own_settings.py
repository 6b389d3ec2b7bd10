"""A desk with an account, limits and times of its own: the settings do what the contract says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk
from tests.acceptance.oracle import check_execution, exactly
from tests.fixtures.rpm import SHORT, Sent, approval
from tests.fixtures.subscriber import Confirmation

pytestmark = [pytest.mark.acceptance, pytest.mark.services]


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(
        ACCOUNT="fund_2-a",
        ACCOUNT_MODE="netting",
        ORDER_TIMEOUT_SECONDS="2",
        MAX_TRADE_AGE_SECONDS="20",
        UNKNOWN_HORIZON_SECONDS="5",
        VOLUME_POLICY="floor",
        MAX_VOLUME_SHORTFALL="0.05",
        MAX_SLIPPAGE_PIPS_BY_SYMBOL='{"US500": 1}',
        PIP_SIZES='{"ETHUSD": 0.5}',
        SYMBOL_MAP='{"GOLD": "XAUUSD", "EURUSD.rpm": "EURUSD"}',
    ) as desk:
        yield desk


@dataclass(frozen=True)
class Timed:
    """The trades whose end takes seconds, published together."""

    pending: Sent
    race: Sent
    late: Sent
    short: Sent


@pytest.fixture(scope="module")
def timed(desk: Desk) -> Timed:
    return Timed(
        pending=desk.publish(approval("EURUSD.pending", 10_000.0)),
        race=desk.publish(approval("USDJPY.race", 11_000.0)),
        late=desk.publish(approval("EURUSD.late", 12_000.0)),
        short=desk.publish(approval("XAUUSD.pending", 10.0, SHORT)),
    )


def test_on_a_netting_account_an_opposite_trade_takes_from_the_position(desk: Desk) -> None:
    for sent in (desk.publish(approval("EURJPY", 20_000.0)), desk.publish(approval("EURJPY", 5_000.0, SHORT))):
        assert desk.confirmation(sent)["status"] == "filled"

    (position,) = [row for row in desk.book.rows("positions") if row["symbol"] == "EURJPY"]
    assert position["volume"] == pytest.approx(0.15)


def test_an_order_that_is_never_filled_expires_and_leaves_nothing_open(desk: Desk, timed: Timed) -> None:
    for sent in (timed.pending, timed.short):
        confirmed = desk.confirmation(sent)

        assert confirmed.outcome == ("expired", "order_timeout")
        assert (confirmed["executed_units"], confirmed["deals"], confirmed["final"]) == (0, [], True)
        traded = desk.book.order(confirmed["order_id"])
        assert not traded.is_open
        assert not traded.deals


def test_a_fill_in_the_moment_of_the_cancel_is_a_fill(desk: Desk, timed: Timed) -> None:
    confirmed = desk.confirmation(timed.race)

    assert confirmed.outcome == ("filled", None)
    check_execution(confirmed, desk.book.order(confirmed["order_id"]), symbol="USDJPY")


def test_a_deal_after_the_cancel_corrects_the_confirmation(desk: Desk, timed: Timed) -> None:
    first = desk.confirmation(timed.late)
    assert (first["version"], first.outcome) == (1, ("expired", "order_timeout"))

    corrected = desk.confirmation(timed.late, version=2)

    assert (corrected["version"], corrected.outcome, corrected["final"]) == (2, ("filled", None), True)
    assert corrected["execution_id"] == first["execution_id"]
    assert corrected.properties.message_id == f"{first['execution_id']}:2"
    assert corrected["audit"]["sequence"] > first["audit"]["sequence"]
    check_execution(corrected, desk.book.order(corrected["order_id"]), symbol="EURUSD")


def test_the_accounts_name_is_in_queue_routing_keys_and_confirmation(desk: Desk) -> None:
    sent = desk.rpm.to_queue(approval("EURUSD", 2_000.0), desk.queue)

    confirmed = desk.confirmation(sent)

    assert (confirmed["account"], confirmed.outcome) == ("fund_2-a", ("filled", None))
    assert confirmed.routing_key == "confirmation.filled.fund_2-a.EURUSD"


@pytest.mark.parametrize(("name", "traded_as", "units"), [("GOLD", "XAUUSD", 25.0), ("EURUSD.rpm", "EURUSD", 3_000.0)])
def test_a_mapped_symbol_is_traded_under_the_brokers_name_and_told_under_rpms(
    desk: Desk, name: str, traded_as: str, units: float
) -> None:
    confirmed = desk.confirmed(approval(name, units))

    assert (confirmed["symbol"], confirmed.outcome) == (name, ("filled", None))
    traded = desk.book.order(confirmed["order_id"])
    assert traded.order["symbol"] == traded_as
    check_execution(confirmed, traded, symbol=traded_as)


def test_floor_executes_the_step_below_and_says_so(desk: Desk) -> None:
    confirmed = desk.confirmed(approval("EURUSD", 20_500.0))

    assert confirmed.outcome == ("filled", None)
    assert (confirmed["intended_units"], confirmed["executed_units"]) == (20_500, exactly(20_000))
    assert (confirmed["requested_lots"], confirmed["executed_lots"]) == (exactly(0.2), exactly(0.2))


@pytest.mark.parametrize("units", [1_900.0, 20_999.0 / 10])
def test_floor_goes_down_by_no_more_than_the_shortfall_allows(desk: Desk, units: float) -> None:
    confirmed: Confirmation = desk.confirmed(approval("EURUSD", round(units, 1)))

    if units < 2_000:  # 1000 of 1900 would be short by 47 %
        assert confirmed.outcome == ("rejected", "volume_not_representable")
    else:  # 2000 of 2099.9 is short by 4.76 %
        assert confirmed["executed_units"] == exactly(2_000)


def test_a_symbols_own_slippage_limit_holds_for_its_spread(desk: Desk) -> None:
    confirmed = desk.confirmed(approval("US500", 1.0))

    assert confirmed.outcome == ("rejected", "spread_too_wide")
    assert desk.confirmed(approval("EURUSD", 1_000.0)).outcome == ("filled", None)


def test_a_pip_is_what_the_desk_says_it_is(desk: Desk) -> None:
    confirmed = desk.confirmed(approval("ETHUSD", 1.0, intended_price=3190.0))

    traded = desk.book.order(confirmed["order_id"])
    check_execution(confirmed, traded, symbol="ETHUSD", pip=Decimal("0.5"))


def test_the_age_limit_is_the_desks(desk: Desk) -> None:
    assert desk.confirmed(approval("EURUSD", age=21)).outcome == ("expired", "approval_expired")
