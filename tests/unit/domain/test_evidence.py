"""Deals decide; an order's own end closes; the order of sightings does not matter."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.stories import NOW, an_execution
from worker.domain.evidence import Evidence, conclude
from worker.domain.execution import Execution, State
from worker.domain.market import BrokerDeal, BrokerOrder, OrderState
from worker.pipeline.settle import with_deals


def accepted(**changes: Any) -> Execution:
    facts: dict[str, Any] = {
        "state": State.ACCEPTED,
        "requested_lots": Decimal(1),
        "order_ticket": 7,
        "contract_size": Decimal(100_000),
    }
    return an_execution(**(facts | changes))


def order(state: OrderState, left: str, *, historical: bool = True) -> BrokerOrder:
    return BrokerOrder(7, 1, "EURUSD", state, Decimal(1), Decimal(left), 0, "", historical)


def deal(ticket: int, lots: str, price: str = "1.1") -> BrokerDeal:
    time = NOW + timedelta(milliseconds=ticket)
    return BrokerDeal(ticket, 7, 1, 70, "EURUSD", Decimal(lots), Decimal(price), Decimal(0), Decimal(0), time, "")


def seen(execution: Execution, *deals: BrokerDeal) -> Execution:
    evidence = Evidence()
    for one in deals:
        evidence.add_deal(one)
    return execution.amend(**with_deals(execution, evidence.new_deals(execution)))


def test_all_deals_mean_filled_whatever_the_order_says() -> None:
    ended = conclude(seen(accepted(), deal(1, "0.4"), deal(2, "0.6")), None)
    assert ended is not None
    assert ended.state is State.FILLED


def test_an_order_that_claims_more_than_its_deals_is_not_over() -> None:
    assert conclude(seen(accepted(), deal(1, "0.4")), order(OrderState.FILLED, "0")) is None
    assert conclude(accepted(), order(OrderState.CANCELED, "0.4")) is None


def test_part_of_it_and_the_rest_cancelled() -> None:
    ended = conclude(seen(accepted(), deal(1, "0.6")), order(OrderState.CANCELED, "0.4"))
    assert ended is not None
    assert ended.state is State.PARTIALLY_FILLED


@pytest.mark.parametrize(
    ("execution", "order_state", "expected", "reason"),
    [
        (accepted(), OrderState.CANCELED, State.CANCELLED, "broker_cancelled"),
        (accepted(), OrderState.EXPIRED, State.CANCELLED, "broker_cancelled"),
        (accepted(state=State.CANCELLING, cancelled_at=NOW), OrderState.CANCELED, State.EXPIRED, "order_timeout"),
        (accepted(state=State.UNKNOWN, cancelled_at=NOW), OrderState.CANCELED, State.EXPIRED, "order_timeout"),
        (accepted(), OrderState.REJECTED, State.REJECTED, "broker_rejection"),
    ],
)
def test_nothing_executed(execution: Execution, order_state: OrderState, expected: State, reason: str) -> None:
    ended = conclude(execution, order(order_state, "1"))
    assert ended is not None
    assert (ended.state, ended.reason) == (expected, reason)


def test_an_open_order_is_not_over() -> None:
    assert conclude(accepted(), order(OrderState.PLACED, "1", historical=False)) is None
    assert conclude(accepted(), None) is None


@given(st.permutations([deal(1, "0.2", "1.1"), deal(2, "0.3", "1.2"), deal(3, "0.5", "1.3")]), st.integers(0, 2))
def test_deals_seen_twice_or_out_of_order_count_once(deals: list[BrokerDeal], again: int) -> None:
    execution = seen(accepted(), *deals[:again])
    execution = seen(execution, *deals)
    assert execution.executed_lots == 1
    assert execution.fill_price == Decimal("1.23")
    assert execution.filled_at == NOW + timedelta(milliseconds=3)


def test_an_order_that_was_over_stays_over() -> None:
    evidence = Evidence()
    evidence.add_order(order(OrderState.FILLED, "0"))
    evidence.add_order(order(OrderState.PLACED, "1", historical=False))
    known = evidence.order_of(accepted())
    assert known is not None
    assert known.is_over


def test_an_attempt_that_nobody_wrote_down_is_told_from_those_that_are_known() -> None:
    known = an_execution(attempts=1)
    evidence, lost = Evidence(), known.token | 2
    evidence.add_order(replace(order(OrderState.FILLED, "0"), magic=known.token | 1))
    evidence.add_order(replace(order(OrderState.REJECTED, "1"), ticket=8, magic=known.token | 3))  # without effect
    assert evidence.forgotten_attempt(known) is None

    evidence.add_deal(replace(deal(1, "0.4"), magic=lost))
    without_order = evidence.forgotten_attempt(known)
    evidence.add_order(replace(order(OrderState.PARTIAL, "0.6", historical=False), ticket=9, magic=lost))
    found = evidence.forgotten_attempt(known)

    assert without_order is not None
    assert (without_order.number, without_order.lots, without_order.order_ticket) == (2, Decimal("0.4"), None)
    assert found is not None
    assert (found.number, found.magic, found.lots, found.order_ticket) == (2, lost, Decimal(1), 9)
    assert evidence.forgotten_attempt(an_execution(attempts=2)) is None


def test_what_a_lot_is_follows_from_the_approval_when_the_ledger_has_forgotten_all_of_the_attempt() -> None:
    evidence, execution = Evidence(), an_execution()
    evidence.add_order(replace(order(OrderState.FILLED, "0"), magic=execution.token | 1))
    forgotten = evidence.forgotten_attempt(execution)
    assert forgotten is not None

    remembered = execution.remembering(forgotten)

    assert (remembered.attempts, remembered.sends, remembered.requested_lots) == (1, 1, Decimal(1))
    assert remembered.contract_size == execution.trade.decision.units
    assert accepted().remembering(forgotten).contract_size == Decimal(100_000)
