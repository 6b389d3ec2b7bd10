"""
One trade against a broker that does what it likes and shows it in any order, twice, or late.

Whatever Hypothesis makes of it: the steps that the pipeline's own rules lead to are legal, every settled version can be
told, and once everything has been seen the confirmation tells what was really executed.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.domain.rules import EXECUTED, broken_rules
from tests.unit.domain.stories import NOW, an_execution
from tests.unit.pipeline.hidden_broker import LOTS, TENTH, HiddenBroker
from worker.domain.errors import IllegalTransition
from worker.domain.evidence import Conclusion, Evidence
from worker.domain.execution import AT_BROKER, FINAL, SETTLED, TRANSITIONS, Deal, Execution, State, Venue
from worker.domain.market import BrokerOrder, OrderState
from worker.domain.token import attempt_token
from worker.pipeline.settle import concluding, end_shown, executed, with_deals
from worker.ports import Anchor, Change

MAX_SENDS = 3
ANCHOR = Anchor(1, "0" * 64)
PARTS = st.integers(1, 10).map(lambda tenths: TENTH * tenths)


class OneTrade(RuleBasedStateMachine):
    """The worker's side is made of its own pure rules; the ledger is a list; the broker is hidden."""

    def __init__(self) -> None:
        super().__init__()
        self.broker = HiddenBroker()
        self.evidence = Evidence()
        self.on_its_way: int | None = None  # a request that nobody has seen arrive or end, by its token
        self.settled: list[Execution] = []  # each was confirmed
        self.execution = an_execution(
            requested_lots=LOTS,
            contract_size=Decimal(100_000),
            pip_size=Decimal("0.0001"),
            venue=Venue("simulated", "Demo", 1, "simulated"),
            first_touch=Decimal("1.1"),
            validated_at=NOW,
        )

    # The worker's steps.

    @precondition(lambda self: self.execution.state is State.RECEIVED)
    @rule()
    def write_ahead(self) -> None:
        number = self.execution.attempts + 1
        self.step(State.SUBMITTING, attempts=number)
        self.on_its_way = attempt_token(self.execution.token, number)

    @precondition(lambda self: self.execution.state is State.RECEIVED and self.execution.attempts > 0)
    @rule()
    def refuse_another_attempt(self) -> None:
        self.conclude(Conclusion(State.REJECTED, "market_closed", "it is Sunday"))

    @precondition(lambda self: self.execution.state is State.SUBMITTING and self.broker.order is None)
    @rule()
    def be_refused_for_good(self) -> None:
        self.conclude(Conclusion(State.REJECTED, "broker_rejection", "10006"), self.not_executed())

    @precondition(lambda self: self.execution.state is State.SUBMITTING and self.broker.order is None)
    @rule()
    def be_refused_for_now(self) -> None:
        self.try_again(self.not_executed())

    @precondition(lambda self: self.execution.state is State.SUBMITTING)
    @rule()
    def answer_that_the_order_is_there(self) -> None:
        if self.broker.order is None:
            self.arrive()
        assert self.broker.order is not None
        ticket = self.broker.order.ticket
        taken = self.execution.knowing(sends=self.execution.sends + 1, order_ticket=ticket, accepted_at=NOW)
        if (end := end_shown(taken, self.evidence)) is not None:
            self.conclude(end, taken, self.evidence.new_deals(taken))
        else:
            self.record(Change(taken.advance(State.ACCEPTED)))
            self.react()

    @precondition(lambda self: self.execution.state is State.SUBMITTING)
    @rule()
    def lose_the_answer(self) -> None:
        self.step(State.UNKNOWN, sends=self.execution.sends + 1, detail="no answer")
        self.react()

    @precondition(lambda self: self.execution.state in {State.ACCEPTED, State.WORKING_PARTIAL})
    @rule()
    def run_out_of_time(self) -> None:
        self.step(State.CANCELLING, cancelled_at=NOW)

    @precondition(lambda self: self.execution.state in AT_BROKER and not self.evidence.orders)
    @rule()
    def lose_sight(self) -> None:
        self.step(State.UNKNOWN, detail="neither orders nor history show it")

    @precondition(lambda self: self.execution.state is State.UNKNOWN and self.broker.order is None)
    @rule()
    def prove_absence(self) -> None:
        self.on_its_way = None
        self.try_again(self.execution)

    @precondition(lambda self: self.execution.state is State.UNKNOWN)
    @rule()
    def give_up_looking(self) -> None:
        self.conclude(Conclusion(State.UNRESOLVED, "outcome_unknown", "nothing can be read"))

    # The operator's.

    @precondition(lambda self: self.execution.state is State.UNRESOLVED)
    @rule()
    def resolve(self) -> None:
        """Say what the broker's own statement says, once the order is over."""
        if self.broker.order is None:
            self.on_its_way = None
            self.conclude(Conclusion(State.ERROR, "network_error", "the broker knows nothing of it"))
        elif self.broker.order.is_over and self.broker.deals:
            attested = tuple(_attested(deal.ticket, deal.volume) for deal in self.broker.deals)
            self.conclude(executed(self.execution, attested), deals=attested)
            self.react()  # a deal that was seen before has figures, which take the place of what was attested

    @precondition(lambda self: self.execution.state is State.ERROR)
    @rule()
    def replay(self) -> None:
        self.record(Change(self.execution.reopened(stale_allowed=False)))

    # The broker's.

    @precondition(lambda self: self.on_its_way is not None)
    @rule()
    def arrive(self) -> None:
        assert self.on_its_way is not None
        self.broker.take(self.on_its_way)
        self.on_its_way = None

    @precondition(lambda self: self.broker.order is not None and not self.broker.order.is_over)
    @rule(lots=PARTS)
    def fill(self, lots: Decimal) -> None:
        assert self.broker.order is not None
        self.broker.fill(min(lots, self.broker.order.volume_current))

    @precondition(lambda self: self.broker.order is not None and not self.broker.order.is_over)
    @rule(state=st.sampled_from([OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED]))
    def end(self, state: OrderState) -> None:
        self.broker.end(state)

    @precondition(lambda self: self.broker.order is not None and self.broker.order.is_over)
    @precondition(lambda self: self.broker.executed < LOTS)
    @rule(lots=PARTS)
    def deal_late(self, lots: Decimal) -> None:
        self.broker.deal_late(min(lots, LOTS - self.broker.executed))

    # What the terminal shows of it.

    @precondition(lambda self: self.broker.sights)
    @rule(choice=st.data())
    def see(self, choice: st.DataObject) -> None:
        for sight in choice.draw(st.lists(st.sampled_from(self.broker.sights), min_size=1, max_size=4)):
            self.look_at(sight)
        self.react()

    @rule()
    def see_nothing_new(self) -> None:
        before = self.execution
        self.react()
        assert self.execution is before

    @invariant()
    def what_is_illegal_raises_and_changes_nothing(self) -> None:
        before = replace(self.execution)
        for to in frozenset(State) - TRANSITIONS[before.state]:
            with pytest.raises(IllegalTransition, match="not a legal transition"):
                self.execution.advance(to)
        assert self.execution == before

    @invariant()
    def every_rule_is_kept(self) -> None:
        assert not broken_rules(self.execution)

    @invariant()
    def what_is_told_is_what_was_settled(self) -> None:
        assert [execution.version for execution in self.settled] == list(range(1, self.execution.version + 1))

    @invariant()
    def executed_is_the_sum_of_the_deals(self) -> None:
        deals = {deal.deal_id: deal.lots for deal in self.execution.deals}
        assert len(deals) == len(self.execution.deals)
        assert self.execution.executed_lots == sum(deals.values())
        assert self.execution.executed_lots <= self.broker.executed

    @invariant()
    def no_end_before_the_order_s_deals_are_all_here(self) -> None:
        order = self.evidence.order_of(self.execution)
        if self.execution.state in FINAL and order is not None and order.is_over:
            assert self.execution.executed_lots >= order.executed

    def teardown(self) -> None:
        """See everything, the latest first, and compare what was told with the truth."""
        for sight in reversed(self.broker.sights):
            self.look_at(sight)
        self.react()
        if self.execution.state not in {State.RECEIVED, State.SUBMITTING}:
            assert self.execution.executed_lots == self.broker.executed
        if self.broker.order is not None and self.broker.order.is_over and self.execution.state is not State.SUBMITTING:
            assert self.execution.state in FINAL
            assert (self.execution.state is State.FILLED) == (self.broker.executed == LOTS)
            assert (self.execution.state in EXECUTED) == (self.broker.executed > 0)

    def look_at(self, sight: Any) -> None:
        if isinstance(sight, BrokerOrder):
            self.evidence.add_order(sight)
        else:
            self.evidence.add_deal(sight)

    def react(self) -> None:
        """Do what the evidence calls for, as monitor, reconciler and late evidence do."""
        deals = self.evidence.new_deals(self.execution)
        if self.execution.state in FINAL:
            if deals:
                self.conclude(executed(self.execution, deals), deals=deals)
        elif self.execution.state in AT_BROKER | {State.UNKNOWN, State.UNRESOLVED}:
            self.follow(deals)

    def follow(self, deals: tuple[Deal, ...]) -> None:
        order = self.evidence.order_of(self.execution)
        ended = end_shown(self.execution, self.evidence)
        if ended is not None:
            self.conclude(ended, deals=deals)
        elif self.execution.state not in AT_BROKER and (order is not None or deals):
            self.step(State.ACCEPTED, accepted_at=NOW)
            self.follow(deals)
        elif deals:
            after = with_deals(self.execution, deals)
            if self.execution.state is State.ACCEPTED:
                self.step(State.WORKING_PARTIAL, **after)
            else:
                self.record(Change(self.execution.amend(**after), deals=deals))

    def not_executed(self) -> Execution:
        """Return the execution after an answer which proves that the request has come to nothing."""
        self.on_its_way = None
        return replace(self.execution, sends=self.execution.sends + 1)

    def try_again(self, tried: Execution) -> None:
        if tried.sends - tried.round_start < MAX_SENDS:
            self.record(Change(tried.advance(State.RECEIVED)))
        else:
            self.conclude(Conclusion(State.ERROR, "network_error", "each send proved not executed"), tried)

    def step(self, to: State, **changes: Any) -> None:
        self.record(Change(self.execution.advance(to, **changes)))

    def conclude(self, end: Conclusion, execution: Execution | None = None, deals: tuple[Deal, ...] = ()) -> None:
        self.record(concluding(execution or self.execution, end, NOW, deals=deals))

    def record(self, change: Change) -> None:
        """Write a step down as the ledger would: the next revision or nothing."""
        assert change.after.revision == self.execution.revision + 1
        self.execution = change.after
        if change.confirmation is not None:
            assert self.execution.state in SETTLED
            assert change.confirmation.render(ANCHOR)
            self.settled.append(self.execution)


def _attested(ticket: int, lots: Decimal) -> Deal:
    units = lots * 100_000
    return Deal(ticket, None, None, None, lots, units, None, None, None, None, attested_by="ann")


TestOneTrade = OneTrade.TestCase
TestOneTrade.settings = settings(stateful_step_count=30)
