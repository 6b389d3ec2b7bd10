"""The state machine: what the table allows happens, everything else raises."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.unit.domain.stories import an_execution
from worker.domain.errors import IllegalTransition
from worker.domain.execution import AT_BROKER, FINAL, OPEN, SETTLED, TRANSITIONS, State


@pytest.mark.parametrize("start", list(State))
@pytest.mark.parametrize("to", list(State))
def test_the_table_decides(start: State, to: State) -> None:
    execution = an_execution(state=start)
    if to in TRANSITIONS[start]:
        assert execution.advance(to).state is to
    else:
        with pytest.raises(IllegalTransition, match="not a legal transition"):
            execution.advance(to)


def test_every_state_is_in_the_table_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(State)
    reached, frontier = {State.RECEIVED}, {State.RECEIVED}
    while frontier:
        frontier = {to for state in frontier for to in TRANSITIONS[state]} - reached
        reached |= frontier
    assert reached == set(State)


def test_every_open_state_can_end() -> None:
    for state in OPEN:
        seen, frontier = {state}, {state}
        while frontier:
            frontier = {to for here in frontier for to in TRANSITIONS[here]} - seen
            seen |= frontier
        assert seen & FINAL


def test_nothing_is_sent_again_after_it_may_have_been_executed() -> None:
    for state in AT_BROKER | {State.FILLED, State.PARTIALLY_FILLED, State.UNRESOLVED, State.CANCELLED, State.EXPIRED}:
        assert not TRANSITIONS[state] & {State.RECEIVED, State.SUBMITTING}


class Walk(RuleBasedStateMachine):
    """Any walk along the table keeps the record's promises."""

    def __init__(self) -> None:
        super().__init__()
        self.execution = an_execution()

    @rule(choice=st.randoms(use_true_random=False))
    def step(self, choice: Random) -> None:
        following = sorted(TRANSITIONS[self.execution.state])
        if following:
            before = self.execution
            self.execution = before.advance(choice.choice(following))
            assert self.execution.revision == before.revision + 1

    @invariant()
    def is_open_or_settled(self) -> None:
        assert (self.execution.state in OPEN) != (self.execution.state in SETTLED)


TestWalk = Walk.TestCase
