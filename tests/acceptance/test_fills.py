"""What is approved is executed as approved, once, and told as it was."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk
from tests.acceptance.oracle import check_execution, exactly, lots_of
from tests.fixtures.rpm import LONG, SHORT, Sent, approval, changed
from tests.fixtures.subscriber import Subscriber

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

FIELDS = (
    "schema_version execution_id version final trade_id rpm_order_id account symbol direction venue order_id "
    "position_id deals status intended_units executed_units requested_lots executed_lots intended_price fill_price "
    "slippage_pips adverse_slippage_pips slippage_exceeded rejection_reason rejection_details attempts received_at "
    "validated_at submitted_at filled_at timestamp audit"
)
MICROSECONDS_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)")


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk() as desk:
        yield desk


@pytest.mark.parametrize(
    ("symbol", "units", "direction"),
    [
        ("EURUSD", 31_000.0, LONG),
        ("GBPUSD", 1_000.0, SHORT),
        ("AUDUSD", 2_500_000, LONG),
        ("USDJPY", 25_000.0, SHORT),
        ("EURJPY", 10_000.0, LONG),
        ("XAUUSD", 150.0, LONG),
        ("US500", 12.5, SHORT),
        ("BTCUSD", 0.35, LONG),
        ("ETHUSD", 4.2, SHORT),
    ],
)
def test_a_trade_of_any_kind_of_symbol_is_filled_as_approved(
    desk: Desk, symbol: str, units: float, direction: int
) -> None:
    sent = desk.publish(approval(symbol, units, direction))

    confirmed = desk.confirmation(sent)

    assert confirmed.outcome == ("filled", None)
    assert confirmed.routing_key == f"confirmation.filled.main.{symbol}"
    assert (confirmed["symbol"], confirmed["direction"], confirmed["account"]) == (symbol, direction, "main")
    assert confirmed["trade_id"] == confirmed["rpm_order_id"] == sent.order_id
    assert confirmed["intended_units"] == confirmed["executed_units"] == exactly(units)
    assert confirmed["requested_lots"] == exactly(lots_of(symbol, units))
    traded = desk.book.order(confirmed["order_id"])
    assert traded.order["symbol"] == symbol
    assert traded.order["type"] == (0 if direction == LONG else 1)
    assert traded.order["volume_initial"] == exactly(lots_of(symbol, units))
    check_execution(confirmed, traded, symbol=symbol)
    assert abs(confirmed["adverse_slippage_pips"]) < 4, "this market moves by less"


def test_a_confirmation_has_every_field_of_the_contract_and_no_other(desk: Desk) -> None:
    confirmed = desk.confirmed(approval("EURUSD", 1_000.0))

    content = confirmed.content
    assert set(content) == set(FIELDS.split())
    assert (content["version"], content["final"], content["attempts"]) == (1, True, 1)
    assert (content["rejection_reason"], content["rejection_details"]) == (None, None)
    assert content["venue"] == {
        "backend": "simulated",
        "server": "Simulated-Demo",
        "login": 50000001,
        "mode": "simulated",
    }
    assert set(content["deals"][0]) == {"deal_id", "units", "lots", "price", "time", "commission", "fee"}
    assert content["audit"]["sequence"] >= 1
    assert re.fullmatch(r"[0-9a-f]{64}", content["audit"]["hash"])


def test_times_are_utc_with_microseconds_and_in_the_order_of_events(desk: Desk) -> None:
    content = desk.confirmed(approval("EURUSD", 1_000.0)).content

    stages = [content[name] for name in ("received_at", "validated_at", "submitted_at", "timestamp")]
    assert stages == sorted(stages)
    for moment in (*stages, content["filled_at"], content["deals"][0]["time"]):
        assert MICROSECONDS_UTC.fullmatch(moment), moment
    assert abs(float(content["filled_at"][17:19]) - float(content["submitted_at"][17:19])) in {0, 1, 59}, (
        "the server's wall clock was taken for UTC"
    )


def test_the_message_itself_is_what_a_subscriber_may_rely_on(desk: Desk) -> None:
    confirmed = desk.confirmed(approval("EURUSD", 1_000.0))

    properties = confirmed.properties
    assert properties.content_type == "application/json"
    assert properties.type == "ExecutionConfirmation"
    assert properties.message_id == f"{confirmed['execution_id']}:1"
    assert properties.delivery_mode == 2
    uuid.UUID(confirmed["execution_id"])


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"correlation_id": "c-{n}", "message_id": "m-{n}"}, "c-{n}"),
        ({"message_id": "m-{n}"}, "m-{n}"),
        ({}, "{order_id}"),
    ],
)
def test_a_confirmation_is_correlated_by_the_first_name_its_trade_has(
    desk: Desk, properties: dict[str, str], expected: str
) -> None:
    n, message = uuid.uuid4().hex, approval("EURUSD", 1_000.0)
    order_id = message["decision"]["order_id"]

    sent = desk.publish(message, **{name: value.format(n=n) for name, value in properties.items()})

    confirmed = desk.downstream.wait_for(expected.format(n=n, order_id=order_id))
    assert (confirmed["trade_id"], confirmed.outcome) == (sent.order_id, ("filled", None))


def test_without_order_id_the_message_id_names_the_trade(desk: Desk) -> None:
    name = f"m-{uuid.uuid4()}"

    confirmed = desk.confirmed(approval("EURUSD", 1_000.0, order_id=None), message_id=name)

    assert (confirmed["trade_id"], confirmed["rpm_order_id"]) == (name, None)
    assert confirmed.outcome == ("filled", None)


def test_without_any_name_the_body_names_the_trade(desk: Desk) -> None:
    message = changed(approval("AUDUSD", 17_000.0, order_id=None), "config_hash", uuid.uuid4().hex)

    desk.publish(message)

    confirmed = desk.downstream.wait_for_any(lambda one: one["intended_units"] == 17_000)
    assert re.fullmatch("sha256:[0-9a-f]{64}", confirmed["trade_id"])
    assert confirmed.correlation_id == confirmed["trade_id"]
    assert confirmed["symbol"] == "AUDUSD"


def test_a_message_straight_to_the_queue_is_as_valid(desk: Desk) -> None:
    sent = desk.rpm.to_queue(approval("USDJPY", 3_000.0, SHORT))

    confirmed = desk.confirmation(sent)

    assert confirmed.outcome == ("filled", None)
    assert confirmed.routing_key == "confirmation.filled.main.USDJPY"


def test_the_symbol_of_the_body_wins_over_that_of_the_routing_key(desk: Desk) -> None:
    confirmed = desk.confirmed(approval("USDJPY", 3_000.0), routing_key="approved.main.EURUSD")

    assert confirmed["symbol"] == "USDJPY"
    assert confirmed.routing_key == "confirmation.filled.main.USDJPY"


def test_reply_to_gets_a_copy(desk: Desk) -> None:
    with Subscriber(desk.settings["AMQP_URL"], exchange=None) as inbox:
        sent = desk.publish(approval("EURUSD", 1_000.0), reply_to=inbox.queue, correlation_id=f"c-{uuid.uuid4()}")

        copy = inbox.wait_for(sent.correlation)

    original = desk.confirmation(sent)
    assert copy.body == original.body
    assert (copy.properties.message_id, copy.properties.type) == (
        original.properties.message_id,
        "ExecutionConfirmation",
    )


def test_a_reply_queue_that_is_gone_is_no_error(desk: Desk) -> None:
    confirmed = desk.confirmed(approval("EURUSD", 1_000.0), reply_to="nobody-listens-here")
    after = desk.confirmed(approval("EURUSD", 1_000.0))

    assert confirmed.outcome == after.outcome == ("filled", None)


@pytest.mark.parametrize(("direction", "worse"), [(LONG, True), (SHORT, False)])
def test_slippage_counts_from_the_price_that_rpm_intended(desk: Desk, direction: int, worse: bool) -> None:  # noqa: FBT001 - a case
    # Given a market that stands about 50 pips above the price RPM had in mind
    confirmed = desk.confirmed(approval("EURUSD", 1_000.0, direction, intended_price=1.08))

    assert confirmed.outcome == ("filled", None), "what RPM had in mind is measured, not enforced"
    assert confirmed["intended_price"] == exactly(1.08)
    check_execution(confirmed, desk.book.order(confirmed["order_id"]), symbol="EURUSD")
    assert confirmed["slippage_exceeded"] is worse
    assert confirmed["slippage_pips"] > 10
    assert (confirmed["adverse_slippage_pips"] > 0) is worse


@pytest.mark.parametrize(
    ("symbol", "direction"),
    [("EURUSD.slip", LONG), ("USDJPY.slip", SHORT), ("XAUUSD.slip", LONG), ("BTCUSD.slip", SHORT)],
)
def test_three_pips_of_slippage_are_three_pips_on_every_symbol(desk: Desk, symbol: str, direction: int) -> None:
    confirmed = desk.confirmed(approval(symbol, 100_000.0 if symbol[0] in "EU" else 1.0, direction))

    assert confirmed.outcome == ("filled", None)
    assert confirmed["adverse_slippage_pips"] == pytest.approx(3, abs=1.5), "the market itself moves a little"
    check_execution(confirmed, desk.book.order(confirmed["order_id"]), symbol=symbol)


def test_a_partial_fill_is_confirmed_with_what_was_executed(desk: Desk) -> None:
    confirmed = desk.confirmed(approval("EURUSD.partial", 50_000.0))

    assert confirmed.outcome == ("partially_filled", None)
    assert confirmed.routing_key == "confirmation.partially_filled.main.EURUSD.partial"
    assert (confirmed["intended_units"], confirmed["executed_units"]) == (50_000, exactly(30_000))
    assert (confirmed["requested_lots"], confirmed["executed_lots"]) == (exactly(0.5), exactly(0.3))
    traded = desk.book.order(confirmed["order_id"])
    assert not traded.is_open
    check_execution(confirmed, traded, symbol="EURUSD")


def test_several_deals_of_one_order_are_told_one_by_one_and_averaged_by_volume(desk: Desk) -> None:
    confirmed = desk.confirmed(approval("EURUSD.multi", 100_000.0))

    assert confirmed.outcome == ("filled", None)
    assert len(confirmed["deals"]) == len({deal["price"] for deal in confirmed["deals"]}) == 3
    check_execution(confirmed, desk.book.order(confirmed["order_id"]), symbol="EURUSD")


@pytest.mark.parametrize("symbol", ["EURUSD.slow", "EURUSD.hidden", "EURUSD.nocomment", "XAUUSD.slow"])
def test_a_fill_is_found_however_the_broker_shows_it(desk: Desk, symbol: str) -> None:
    confirmed = desk.confirmed(approval(symbol, 20_000.0 if symbol[0] == "E" else 20.0))

    assert confirmed.outcome == ("filled", None)
    assert (confirmed["version"], confirmed["attempts"]) == (1, 1)
    check_execution(confirmed, desk.book.order(confirmed["order_id"]), symbol=symbol)
    assert len(desk.book.traded(symbol)) == 1


def test_requotes_are_answered_with_another_try(desk: Desk) -> None:
    confirmed = desk.confirmed(approval("EURUSD.requote", 9_000.0))

    assert confirmed.outcome == ("filled", None)
    assert confirmed["attempts"] == 3
    check_execution(confirmed, desk.book.order(confirmed["order_id"]), symbol="EURUSD")
    assert len([one for one in desk.book.traded("EURUSD.requote") if one.deals]) == 1


@pytest.mark.parametrize("noise", [30_000.000000000004, 29_999.999999999996])
def test_the_noise_of_a_float_is_not_a_size_of_its_own(desk: Desk, noise: float) -> None:
    confirmed = desk.confirmed(approval("EURUSD", noise))

    assert confirmed.outcome == ("filled", None)
    assert confirmed["executed_lots"] == exactly(0.3)


def test_trades_of_one_symbol_are_sent_in_the_order_of_their_arrival(desk: Desk) -> None:
    run = [desk.publish(approval("GBPUSD", 1_000.0 * size)) for size in range(2, 12)]

    tickets = [int(desk.confirmation(sent)["order_id"]) for sent in run]

    assert tickets == sorted(tickets)


class TestTheSameTradeAgain:
    """It is executed once, whatever carries it, and confirmed as often as it is asked for."""

    @pytest.fixture
    def first(self, desk: Desk) -> Sent:
        sent = desk.publish(approval("ETHUSD", 1.5), message_id=f"m-{uuid.uuid4()}")
        desk.confirmation(sent)
        return sent

    def test_published_again_as_it_was(self, desk: Desk, first: Sent) -> None:
        orders = len(desk.book.traded())

        desk.publish(first.body, message_id=first.message_id)

        again = desk.confirmation(first, times=2)
        one, other = desk.downstream.all_of(first.correlation)
        assert (one.body, one.properties.message_id) == (other.body, again.properties.message_id)
        assert len(desk.book.traded()) == orders

    def test_in_other_words(self, desk: Desk, first: Sent) -> None:
        # Given the same decision in a message that was written later, with other numbers around it
        message = changed(first.message, "risk_metrics", {"var_95": 1})
        message = changed(message, "timestamp", "2031-01-01T00:00:00+02:00")
        message = changed(message, "decision.approved_trade.position_units", Decimal(15))
        body = json.dumps(message, default=str, indent=3, sort_keys=True).replace('"15"', "0.15e1")
        orders = len(desk.book.traded())

        desk.rpm.to_queue(body.encode(), message_id=f"m-{uuid.uuid4()}")

        again = desk.confirmation(first, times=2)
        assert again.body == desk.downstream.all_of(first.correlation)[0].body
        assert again["trade_id"] == first.order_id
        assert len(desk.book.traded()) == orders

    def test_an_equal_body_without_order_id_under_another_message_id(self, desk: Desk) -> None:
        message = changed(approval("ETHUSD", 1.1, order_id=None), "config_hash", uuid.uuid4().hex)
        first = desk.publish(message, message_id=f"m-{uuid.uuid4()}")
        original = desk.confirmation(first)
        orders = len(desk.book.traded())

        desk.publish(message, message_id=f"m-{uuid.uuid4()}")

        again = desk.confirmation(first, times=2)
        assert again.body == original.body
        assert again["trade_id"] == first.message_id
        assert len(desk.book.traded()) == orders

    def test_its_own_reply_to_gets_a_copy_with_its_own_correlation(self, desk: Desk, first: Sent) -> None:
        with Subscriber(desk.settings["AMQP_URL"], exchange=None) as inbox:
            name = f"c-{uuid.uuid4()}"

            desk.publish(first.body, message_id=first.message_id, correlation_id=name, reply_to=inbox.queue)

            copy = inbox.wait_for(name)
        assert copy.body == desk.downstream.all_of(first.correlation)[0].body

    def test_many_times_at_once(self, desk: Desk) -> None:
        message = approval("BTCUSD", 0.77)

        sent = [desk.publish(message) for _ in range(20)]

        desk.confirmation(sent[0])
        barrier = desk.confirmed(approval("BTCUSD", 0.78))
        assert barrier.outcome == ("filled", None)
        assert len([one for one in desk.book.traded("BTCUSD") if one.lots == Decimal("0.77")]) == 1
        assert len({one.body for one in desk.downstream.all_of(sent[0].correlation)}) == 1
