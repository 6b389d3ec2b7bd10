"""Proof of absence in the model is the program's own: its figures are translated, its rules are called."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import cache

from tests.unit.domain.stories import NOW, an_execution
from tests.unit.model.rules import Rules
from tests.unit.model.world import HORIZON, LAG, Outcome, Place, Worker, World
from worker.domain.absence import Absence, hindrance
from worker.domain.execution import Attempt, State
from worker.domain.market import BrokerOrder, OrderState, Search

_EXECUTION = an_execution(state=State.UNKNOWN)
_MAGIC = _EXECUTION.token | 1
_ORDER = BrokerOrder(7, _MAGIC, "EURUSD", OrderState.PLACED, Decimal(1), Decimal(1), 0, "", historical=False)
_CODE_TIMEOUT, _PIPE_BROKE = 10012, -10002
_LATER = NOW + timedelta(minutes=1)
_LONG_AGO = 100.0

_ATTEMPTS = {
    Outcome.PENDING: Attempt(1, _MAGIC, Decimal(1), written_at=NOW),
    Outcome.LOST: Attempt(
        1, _MAGIC, Decimal(1), outcome="ambiguous", last_error=_PIPE_BROKE, written_at=NOW, answered_at=NOW
    ),
    Outcome.CODED: Attempt(
        1, _MAGIC, Decimal(1), outcome="ambiguous", retcode=_CODE_TIMEOUT, written_at=NOW, answered_at=NOW
    ),
}


def look(world: World, worker: Worker, rules: Rules) -> Absence:
    """Return the proof as it stands after one more look of a worker that seeks, made now, at time 0."""
    assert world.row is not None
    begun = -float(worker.sought) if rules.waits_for_the_horizon else -_LONG_AGO
    first = None if worker.first_look is None else -float(worker.first_look)
    absence = Absence(sent_by=begun, horizon=float(HORIZON), first_empty=first, last_empty=first)
    absence.note(0.0, _hindrance(world.row.outcome, world.clean, is_visible(world), rules.asks_for_the_sender))
    return absence


def is_proved(absence: Absence, rules: Rules) -> bool:
    """Tell whether nothing was executed and nothing will be."""
    return absence.is_proved(LAG if rules.looks_twice else -1)


def is_visible(world: World) -> bool:
    """Tell whether the broker's records show an order of the trade."""
    return any(request.place is Place.VISIBLE for request in world.requests)


@cache
def _hindrance(outcome: Outcome, clean: bool, visible: bool, asks_for_the_sender: bool) -> str | None:  # noqa: FBT001 - a key
    clean_since = _LATER if clean or not asks_for_the_sender else None
    search = Search(readable=True, orders=(_ORDER,) if visible else (), clean_since=clean_since)
    return hindrance(search, _EXECUTION, _ATTEMPTS[outcome])
