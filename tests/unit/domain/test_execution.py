"""The table of transitions: what it allows happens, everything else raises. One trade's walks are in `pipeline/`."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.stories import NOW, an_execution
from worker.domain.errors import IllegalTransition
from worker.domain.execution import AT_BROKER, FINAL, OPEN, TRANSITIONS, Execution, State


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


def test_a_reopened_trade_does_not_take_the_cancel_of_its_last_order_for_its_own() -> None:
    """Lost sight of, attested not executed, replayed: what was known of that order must not end the next one."""
    ended = an_execution(
        state=State.ERROR,
        attempts=1,
        sends=1,
        version=2,
        order_ticket=7,
        accepted_at=NOW,
        cancelled_at=NOW,
        cancel_asked_at=NOW,
        reason="network_error",
    )
    reopened = ended.reopened(stale_allowed=True)
    assert (reopened.state, reopened.round_start, reopened.stale_allowed) == (State.RECEIVED, 1, True)
    assert (reopened.order_ticket, reopened.accepted_at) == (None, None)
    assert (reopened.cancelled_at, reopened.cancel_asked_at) == (None, None)


@given(st.dictionaries(st.sampled_from([field.name for field in fields(Execution)]), st.integers()))
def test_what_is_learnt_is_known_next_to_all_that_was_known(learnt: dict[str, Any]) -> None:
    before = an_execution(state=State.ACCEPTED, order_ticket=7)

    after = before.knowing(**learnt)

    assert after == replace(before, **learnt)
    assert before == an_execution(state=State.ACCEPTED, order_ticket=7, execution_id=before.execution_id)


def test_an_execution_learns_nothing_that_it_has_no_place_for_and_is_never_changed() -> None:
    execution = an_execution()

    with pytest.raises(TypeError, match="an execution has no colour"):
        execution.knowing(colour="red")
    with pytest.raises(FrozenInstanceError):
        setattr(execution.knowing(reason="none"), "reason", "another")  # noqa: B010 - the type checker forbids it, too
