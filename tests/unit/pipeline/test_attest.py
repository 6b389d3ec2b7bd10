"""What an operator attests of a trade becomes its end, and nothing that he does not know is made up."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.stories import NOW, a_trade, an_execution
from worker.domain.attestation import AttestedDeal, Statement
from worker.domain.errors import Refused
from worker.domain.execution import Deal, Execution, State
from worker.domain.trade import Decision, Direction
from worker.pipeline.attest import attest_executed, attest_not_executed
from worker.ports import Anchor, Change

ANN = Statement("ann@desk", "the broker's statement", NOW + timedelta(hours=1))


def unresolved(**changes: Any) -> Execution:
    decision = Decision("main", "EURUSD", Direction.LONG, Decimal(100_000), Decimal("1.1"), NOW)
    return an_execution(
        a_trade(decision=decision),
        **{
            "state": State.UNRESOLVED,
            "revision": 5,
            "version": 1,
            "attempts": 1,
            "sends": 1,
            "contract_size": Decimal(100_000),
            "pip_size": Decimal("0.0001"),
            "max_slippage_pips": Decimal(10),
            "requested_lots": Decimal("1.00"),
            "reason": "outcome_unknown",
            "detail": "no answer",
        }
        | changes,
    )


def shown(ticket: int, lots: str) -> Deal:
    size = Decimal(lots)
    return Deal(ticket, 70, 80, 90, size, size * 100_000, Decimal("1.1001"), Decimal(-1), Decimal(0), NOW)


def told(change: Change) -> dict[str, Any]:
    assert change.confirmation is not None
    body: dict[str, Any] = json.loads(change.confirmation.render(Anchor(7, "f" * 64)))
    return body


class TestExecuted:
    def test_a_bare_ticket_stands_for_all_that_was_asked_for(self) -> None:
        change = attest_executed(unresolved(), [AttestedDeal(50012)], ANN)

        confirmation = told(change)
        assert (confirmation["status"], confirmation["version"], confirmation["final"]) == ("filled", 2, True)
        assert (confirmation["executed_lots"], confirmation["executed_units"]) == (1, 100_000)
        assert confirmation["rejection_reason"] is None
        [deal] = confirmation["deals"]
        assert deal == {
            "deal_id": "50012",
            "units": 100_000,
            "lots": 1,
            "price": None,
            "time": None,
            "commission": None,
            "fee": None,
        }

    def test_what_nobody_knows_is_null(self) -> None:
        confirmation = told(attest_executed(unresolved(), [AttestedDeal(50012)], ANN))

        unknown = ("fill_price", "slippage_pips", "adverse_slippage_pips", "slippage_exceeded", "filled_at")
        assert {name: confirmation[name] for name in unknown} == dict.fromkeys(unknown)
        assert confirmation["position_id"] is confirmation["order_id"] is None

    def test_prices_that_are_known_give_the_slippage(self) -> None:
        deals = [
            AttestedDeal(1, Decimal("0.6"), Decimal("1.1001")),
            AttestedDeal(2, Decimal("0.4"), Decimal("1.1006")),
        ]

        confirmation = told(attest_executed(unresolved(), deals, ANN))

        assert (confirmation["status"], confirmation["fill_price"]) == ("filled", 1.1003)
        assert (confirmation["adverse_slippage_pips"], confirmation["slippage_exceeded"]) == (3, False)

    def test_less_than_was_asked_for_is_a_partial_fill(self) -> None:
        confirmation = told(attest_executed(unresolved(), [AttestedDeal(1, Decimal("0.6"), Decimal("1.1"))], ANN))

        assert (confirmation["status"], confirmation["executed_lots"]) == ("partially_filled", 0.6)

    def test_deals_that_the_broker_has_shown_count(self) -> None:
        execution = unresolved(deals=(shown(1, "0.6"),))

        assert told(attest_executed(execution, [AttestedDeal(1)], ANN))["status"] == "partially_filled"
        rest = attest_executed(execution, [AttestedDeal(1), AttestedDeal(2)], ANN)
        assert [(deal.deal_id, deal.lots) for deal in rest.deals] == [(2, Decimal("0.4"))]
        assert told(rest)["status"] == "filled"

    def test_the_trail_tells_who_attested_what_and_why(self) -> None:
        resolved, settled = attest_executed(unresolved(), [AttestedDeal(1)], ANN).events

        assert (resolved.kind, resolved.actor) == ("resolved", "ann@desk")
        assert resolved.payload == {"verdict": "executed", "reason": "the broker's statement", "deals": "1"}
        assert (settled.kind, settled.actor) == ("settled", "ann@desk")
        assert settled.payload["deals"][0]["attested_by"] == "ann@desk"
        assert settled.payload["deals"][0]["price"] is None

    @pytest.mark.parametrize(
        ("deals", "advice"),
        [
            ([AttestedDeal(1), AttestedDeal(2)], "each of several deals needs its figures: --deal TICKET:LOTS@PRICE"),
            ([AttestedDeal(1, Decimal("1.01"), Decimal("1.1"))], "these deals have 1.01 lots, and only 1.00 are left"),
            (
                [AttestedDeal(9, Decimal("0.6"), Decimal("1.1"))],
                "has shown deal 9 of this trade already: name it without",
            ),
        ],
    )
    def test_what_cannot_be_is_refused_with_advice(self, deals: list[AttestedDeal], advice: str) -> None:
        execution = unresolved(deals=(shown(9, "0.6"),)) if deals[0].ticket == 9 else unresolved()

        with pytest.raises(Refused, match=advice):
            attest_executed(execution, deals, ANN)

    def test_a_ticket_too_many_is_refused(self) -> None:
        with pytest.raises(Refused, match=r"only 0\.00 are left of the 1\.00"):
            attest_executed(unresolved(deals=(shown(1, "1.00"),)), [AttestedDeal(2)], ANN)

    @given(st.lists(st.integers(1, 60).map(lambda cents: Decimal(cents) / 100), min_size=1, max_size=4))
    def test_never_more_than_was_asked_for_and_always_what_was_said(self, sizes: list[Decimal]) -> None:
        deals = [AttestedDeal(ticket, lots, Decimal("1.1")) for ticket, lots in enumerate(sizes, 1)]
        if sum(sizes) > 1:
            with pytest.raises(Refused):
                attest_executed(unresolved(), deals, ANN)
            return

        after = attest_executed(unresolved(), deals, ANN).after

        assert after.executed_lots == sum(sizes)
        assert after.state is (State.FILLED if sum(sizes) == 1 else State.PARTIALLY_FILLED)


class TestNotExecuted:
    def test_it_ends_in_error_and_says_on_whose_word(self) -> None:
        change = attest_not_executed(unresolved(), ANN)

        confirmation = told(change)
        assert (confirmation["status"], confirmation["rejection_reason"]) == ("error", "network_error")
        assert confirmation["rejection_details"] == "ann@desk attests that it was not executed: the broker's statement"
        assert (confirmation["version"], confirmation["final"], confirmation["executed_units"]) == (2, True, 0)
        assert change.dead_letter is None  # the one of the unknown outcome can be replayed now
        assert [(event.kind, event.actor) for event in change.events] == [
            ("resolved", "ann@desk"),
            ("settled", "ann@desk"),
        ]

    def test_deals_that_the_broker_has_shown_speak_against_it(self) -> None:
        with pytest.raises(Refused, match="was executed, at least in part: the broker has shown deals 9"):
            attest_not_executed(unresolved(deals=(shown(9, "0.6"),)), ANN)


class TestWhenTheBrokerShowsIt:
    """Its own figures take the place of what was attested."""

    @pytest.fixture
    def attested(self) -> Execution:
        return attest_executed(unresolved(), [AttestedDeal(1)], ANN).after

    def test_the_same_deal_is_counted_once(self, attested: Execution) -> None:
        assert attested.deals_with((shown(1, "1.00"),)) == (shown(1, "1.00"),)

    def test_a_smaller_one_is_believed(self, attested: Execution) -> None:
        assert attested.deals_with((shown(1, "0.60"),)) == (shown(1, "0.60"),)

    def test_other_deals_for_all_of_it_show_that_the_ticket_was_wrong(self, attested: Execution) -> None:
        assert attested.deals_with((shown(2, "1.00"),)) == (shown(2, "1.00"),)

    def test_other_deals_beside_it_are_more_of_the_same_trade(self) -> None:
        attested = attest_executed(unresolved(), [AttestedDeal(1, Decimal("0.4"), Decimal("1.1"))], ANN).after

        assert [deal.deal_id for deal in attested.deals_with((shown(2, "0.60"),))] == [1, 2]

    def test_a_price_that_is_missing_leaves_the_average_unknown(self, attested: Execution) -> None:
        assert attested.fill_price is None
        assert an_execution(deals=attested.deals_with((shown(1, "1.00"),))).fill_price == Decimal("1.1001")
