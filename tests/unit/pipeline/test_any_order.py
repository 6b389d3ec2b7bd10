"""The same sightings, in any order and as often as one likes, come to the same end; on the way it only grows."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.stories import an_execution
from tests.unit.pipeline.hidden_broker import LOTS, TENTH, HiddenBroker, Sight
from worker.domain.evidence import Conclusion, Evidence, conclude
from worker.domain.execution import Execution, State
from worker.domain.market import BrokerOrder, OrderState
from worker.domain.token import attempt_token
from worker.pipeline.settle import with_deals

ENDS = [OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED]


@st.composite
def lives(draw: st.DrawFn) -> HiddenBroker:
    """Return a broker with the whole life of one order: part after part, an end, perhaps a deal after it."""
    broker = HiddenBroker()
    order = broker.take(attempt_token(an_execution().token, 1))
    for tenths in draw(st.lists(st.integers(1, 5), max_size=4)):
        left = LOTS - broker.executed
        broker.fill(min(TENTH * tenths, left))
        if broker.executed == LOTS:
            return broker
    broker.end(draw(st.sampled_from(ENDS)))
    if draw(st.booleans()):
        broker.deal_late(LOTS - broker.executed if draw(st.booleans()) else TENTH * order.volume_initial)
    return broker


@st.composite
def views(draw: st.DrawFn) -> tuple[HiddenBroker, list[Sight]]:
    """Return such a life, and everything that can be seen of it: shuffled, some of it seen again."""
    broker = draw(lives())
    again = draw(st.lists(st.sampled_from(broker.sights), max_size=5))
    return broker, list(draw(st.permutations(broker.sights + again)))


@given(views(), st.sampled_from([State.ACCEPTED, State.WORKING_PARTIAL, State.CANCELLING, State.UNKNOWN]))
def test_the_end_is_the_truth_whatever_the_order_of_the_sightings(
    view: tuple[HiddenBroker, list[Sight]], state: State
) -> None:
    broker, sights = view
    in_order = _ends(state, broker.sights)[-1]

    shuffled = _ends(state, sights)[-1]

    assert shuffled == in_order
    assert shuffled is not None
    assert (shuffled.state is State.FILLED) == (broker.executed == LOTS)
    assert (shuffled.state is State.PARTIALLY_FILLED) == (0 < broker.executed < LOTS)


@given(views())
def test_what_was_executed_never_shrinks(view: tuple[HiddenBroker, list[Sight]]) -> None:
    ranks = [_rank(end) for end in _ends(State.ACCEPTED, view[1])]

    assert ranks == sorted(ranks)


def _ends(state: State, sights: list[Sight]) -> list[Conclusion | None]:
    """Return what is concluded after each sighting."""
    execution, evidence = an_execution(state=state, requested_lots=LOTS, contract_size=Decimal(1)), Evidence()
    ends = []
    for sight in sights:
        execution = _seen(execution, evidence, sight)
        ends.append(conclude(execution, evidence.order_of(execution)))
    return ends


def _seen(execution: Execution, evidence: Evidence, sight: Sight) -> Execution:
    if isinstance(sight, BrokerOrder):
        evidence.add_order(sight)
    else:
        evidence.add_deal(sight)
    return execution.amend(**with_deals(execution, evidence.new_deals(execution)))


def _rank(end: Conclusion | None) -> int:
    if end is None:
        return 0
    return {State.PARTIALLY_FILLED: 2, State.FILLED: 3}.get(end.state, 1)
