"""Is there an order at the broker? The answer for every state in which an execution can be."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.domain.stories import NOW, an_execution
from worker.domain.at_broker import NEVER_A_TRADE, Answer, at_broker
from worker.domain.execution import FINAL, Attempt, Deal, State

SENT = Attempt(number=1, magic=7, lots=Decimal(1), written_at=NOW, sent_at=NOW + timedelta(seconds=1))
AN_ORDER: dict[str, Any] = {"attempts": 1, "order_ticket": 5001, "requested_lots": Decimal("1.00")}
ONE_LOT, HALF_A_LOT = Decimal("1.00"), Decimal("0.50")


def a_deal(lots: Decimal, **changes: Any) -> Deal:
    known: dict[str, Any] = {
        "deal_id": 9001,
        "order_id": 5001,
        "magic": 7,
        "position_id": 5001,
        "lots": lots,
        "units": lots * 100_000,
        "price": Decimal("1.1"),
        "commission": Decimal(0),
        "fee": Decimal(0),
        "time": NOW,
    }
    return Deal(**(known | changes))


NEVER_SENT = [
    (State.RECEIVED, "no: nothing was sent yet"),
    (State.REJECTED, "no: nothing was ever sent (spread_too_wide: 12 pips)"),
    (State.EXPIRED, "no: nothing was ever sent (spread_too_wide: 12 pips)"),
    (State.ERROR, "no: nothing was ever sent (spread_too_wide: 12 pips)"),
]


@pytest.mark.parametrize(("state", "expected"), NEVER_SENT)
def test_no_attempt_is_no_order(state: State, expected: str) -> None:
    told: dict[str, Any] = {} if state is State.RECEIVED else {"reason": "spread_too_wide", "detail": "12 pips"}

    found = at_broker(an_execution(state=state, **told), None)

    assert (str(found), found.units_at_risk) == (expected, Decimal(0))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.RECEIVED, "2 attempts so far, each proved not executed; another one may be sent at any moment"),
        (State.REJECTED, "2 attempts, nothing was executed (broker_rejection: 10006)"),
        (State.ERROR, "2 attempts, nothing was executed (broker_rejection: 10006)"),
    ],
)
def test_attempts_that_left_nothing_are_no_order(state: State, expected: str) -> None:
    told: dict[str, Any] = {} if state is State.RECEIVED else {"reason": "broker_rejection", "detail": "10006"}

    found = at_broker(an_execution(state=state, attempts=2, **told), SENT)

    assert (found.answer, found.why, found.units_at_risk) == (Answer.NO, expected, Decimal(0))


@pytest.mark.parametrize("state", [State.REJECTED, State.EXPIRED, State.CANCELLED])
def test_an_order_that_has_ended_without_a_fill_is_no_order(state: State) -> None:
    found = at_broker(an_execution(state=state, reason="order_timeout", **AN_ORDER), SENT)

    assert str(found) == "no: order 5001 has ended without a fill (order_timeout)"
    assert found.units_at_risk == 0


@pytest.mark.parametrize(
    ("state", "deals", "expected"),
    [
        (State.ACCEPTED, (), "yes: order 5001 stands, nothing of it is filled yet"),
        (State.WORKING_PARTIAL, (a_deal(HALF_A_LOT),), "yes: order 5001 stands, filled 0.5 of 1 lots so far"),
        (State.CANCELLING, (), "yes: order 5001 stands, its cancel is asked for, nothing of it is filled yet"),
    ],
)
def test_an_order_at_work_is_all_at_risk(state: State, deals: tuple[Deal, ...], expected: str) -> None:
    found = at_broker(an_execution(state=state, deals=deals, **AN_ORDER), SENT)

    assert (str(found), found.units_at_risk) == (expected, Decimal(100_000))


@pytest.mark.parametrize(
    ("state", "deals", "expected"),
    [
        (State.FILLED, (a_deal(ONE_LOT),), "yes: order 5001, filled 1 lots"),
        (State.PARTIALLY_FILLED, (a_deal(HALF_A_LOT),), "yes: order 5001, filled 0.5 of 1 lots"),
        (
            State.FILLED,
            (a_deal(ONE_LOT, attested_by="ann"),),
            "yes: order 5001, filled 1 lots, on the word of ann: the broker has not shown it",
        ),
    ],
)
def test_what_was_executed_is_at_risk(state: State, deals: tuple[Deal, ...], expected: str) -> None:
    found = at_broker(an_execution(state=state, deals=deals, **AN_ORDER), SENT)

    assert (str(found), found.units_at_risk) == (expected, sum((deal.units for deal in deals), Decimal(0)))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.SUBMITTING, "the answer to the send at 2026-03-02 09:30:01 UTC is not recorded yet"),
        (State.UNKNOWN, "the outcome of the send at 2026-03-02 09:30:01 UTC is not proved yet"),
        (State.UNRESOLVED, "is not proved; see mt5-worker executions resolve 00000000-0000-0000-0000-000000000001"),
    ],
)
def test_what_is_not_proved_is_unknown_and_all_at_risk(state: State, expected: str) -> None:
    found = at_broker(an_execution(state=state, attempts=1), SENT)

    assert found.answer is Answer.UNKNOWN
    assert expected in found.why
    assert found.units_at_risk == 100_000


def test_a_fill_that_is_known_while_the_rest_is_not_is_told() -> None:
    execution = an_execution(state=State.UNKNOWN, deals=(a_deal(HALF_A_LOT),), **AN_ORDER)

    assert "0.5 of 1 lots are known to be filled" in at_broker(execution, SENT).why


def test_a_message_that_never_was_a_trade_is_no_order() -> None:
    assert str(NEVER_A_TRADE) == "no: it never became a trade, nothing was sent"


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("attempts", [0, 1, 2])
def test_every_state_has_an_answer_that_is_no_only_where_nothing_can_stand(state: State, attempts: int) -> None:
    found = at_broker(an_execution(state=state, attempts=attempts), SENT if attempts else None)

    assert (found.answer is Answer.NO) == (state in FINAL | {State.RECEIVED})
    assert found.why
    assert "None" not in found.why
