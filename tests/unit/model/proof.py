"""Proof of absence in the model is the program's own: its figures are translated, its rules are called."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from tests.unit.domain.stories import NOW, an_execution
from tests.unit.model.rules import Rules
from tests.unit.model.world import HORIZON, LAG, Clean, Outcome, Place, Worker, World
from worker.domain.absence import Absence, hindrance, is_held
from worker.domain.execution import Attempt, State
from worker.domain.market import BrokerOrder, Custody, OrderState, Search

_EXECUTION = an_execution(state=State.UNKNOWN)
_MAGIC = _EXECUTION.token | 1
_ORDER = BrokerOrder(7, _MAGIC, "EURUSD", OrderState.PLACED, Decimal(1), Decimal(1), 0, "", historical=False)
_CODE_TIMEOUT, _PIPE_BROKE, _SENDER = 10012, -10002, "the terminal"
_EARLY, _LATE = timedelta(seconds=2), timedelta(minutes=1)
_LONG_AGO = 100.0

_PENDING = Attempt(1, _MAGIC, Decimal(1), written_at=NOW, sender=_SENDER)
_ANSWERED = replace(_PENDING, outcome="ambiguous", answered_at=NOW + timedelta(seconds=1))
_ATTEMPTS = {
    Outcome.PENDING: _PENDING,
    Outcome.LOST: replace(_ANSWERED, last_error=_PIPE_BROKE),
    Outcome.CODED: replace(_ANSWERED, retcode=_CODE_TIMEOUT),
}
_CLEAN_SINCE = {Clean.NOT: NOW - _LATE, Clean.EARLY: NOW + _EARLY, Clean.LATE: NOW + _LATE}


def look(world: World, worker: Worker, rules: Rules) -> Absence:
    """Return the proof as it stands after one more look of a worker that seeks, made now, at time 0."""
    assert world.row is not None
    begun = -float(worker.sought) if rules.waits_for_the_horizon else -_LONG_AGO
    first, let_go = _moment(worker.first_look), _moment(worker.let_go)
    if not (rules.waits_for_the_horizon and rules.waits_from_the_restart):
        let_go = -_LONG_AGO
    absence = Absence(
        sent_by=begun,
        horizon=float(HORIZON),
        let_go_by=let_go,
        first_empty=first,
        last_empty=first,
        own_look=first is not None,
    )
    seen = _seen(world.row.outcome, _clean(world, rules), is_visible(world), world.inside)
    absence.note(0.0, 0.0, seen.hindrance, held=seen.held)
    return absence


def _clean(world: World, rules: Rules) -> Clean:
    early_counts = world.clean is Clean.EARLY and not rules.doubts_early_restarts
    return Clean.LATE if early_counts or not rules.asks_for_the_sender else world.clean


def ago(moment: float | None) -> int | None:
    """Return how many ticks ago a moment was."""
    return None if moment is None else -int(moment)


def is_proved(absence: Absence, rules: Rules) -> bool:
    """Tell whether nothing was executed and nothing will be."""
    return absence.is_proved(LAG if rules.looks_twice else -1)


def is_visible(world: World) -> bool:
    """Tell whether the broker's records show an order of the trade."""
    return any(request.place is Place.VISIBLE for request in world.requests)


class _Seen(NamedTuple):
    hindrance: str | None
    held: bool


@cache
def _seen(outcome: Outcome, clean: Clean, visible: bool, inside: bool) -> _Seen:  # noqa: FBT001 - a key
    custody = Custody(_CLEAN_SINCE[clean], in_session=inside)
    search = Search(readable=True, orders=(_ORDER,) if visible else (), custody={_SENDER: custody})
    attempt = _ATTEMPTS[outcome]
    return _Seen(hindrance(search, _EXECUTION, attempt), is_held(search, attempt))


def _moment(ticks_ago: int | None) -> float | None:
    return None if ticks_ago is None else -float(ticks_ago)
