"""
The timeline of one trade: what its rows and its audit events tell, merged into one order of time.

Two clocks are behind the times. Whatever the worker, its terminal sessions and operators do bears the clock of the
machine where they did it; these are held together by NTP, and `clock` says "worker". Only the time of a deal is the
broker's: the trade server's wall clock, turned into UTC by an offset that the worker has measured in quarter hours;
`clock` says "broker". A server whose clock is seconds wrong shows its deals seconds too early or too late, so a length
of time between lines of two clocks is approximate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

from worker.domain.execution import Attempt, Deal
from worker.domain.instrument import plain
from worker.ledger.audit import AuditRow
from worker.ledger.history import ExecutionStory, LetterOfTrade, ReplayLine, StoredConfirmation
from worker.ledger.telling import told

_CLOSED_BY_WORKER = frozenset({"resolved", "failed_again"})  # what operators do with a letter is an event of its own


class TimeSource(StrEnum):
    """Whose clock a time was read from."""

    WORKER = "worker"
    BROKER = "broker"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. `who` is worker, broker, or an operator as he named himself."""

    at: datetime  # UTC
    clock: TimeSource
    who: str
    what: str
    detail: str
    seconds_after: float | None = None  # the line before; None for the first one


# Where a line stands among others of the very same time: behind which event of the trail (its index), in which rank.
_Place = tuple[int, int]
_Placed = tuple[_Place, Line]
_FIRST = -1


def timeline(story: ExecutionStory) -> list[Line]:
    """Return everything that happened to a trade, the earliest first; of the same time, causes before effects."""
    events = sorted((*story.events, *story.meanwhile), key=lambda event: event.sequence)
    trail = _Trail(events)
    placed = [
        *_arrival(story),
        *trail.lines(story),
        *(placed for attempt in story.attempts for placed in _attempt(attempt, trail)),
        *(placed for deal in story.execution.deals for placed in _deal(deal, story, trail)),
        *(placed for told_ in story.confirmations for placed in _publication(told_, trail)),
        *(placed for letter in story.dead_letters for placed in _letter(letter, trail)),
        *(placed for replay in story.replays for placed in _replay(replay, trail)),
    ]
    return _with_lengths([line for _, line in sorted(placed, key=lambda one: (one[1].at, one[0]))])


class _Trail:
    """The audit events in the order of their chain, and where those stand that rows refer to."""

    def __init__(self, events: Sequence[AuditRow]) -> None:
        self._events = [(event, json.loads(event.payload)) for event in events]

    def lines(self, story: ExecutionStory) -> Iterator[_Placed]:
        """Tell every event, but those of the account that concern another symbol."""
        symbols = {None, story.execution.trade.decision.symbol, story.execution.broker_symbol}
        own = {event.sequence for event in story.events}
        for index, (event, payload) in enumerate(self._events):
            if event.sequence in own or payload.get("symbol") in symbols:
                what, detail = told(event.kind, payload)
                at = datetime.fromisoformat(event.at)
                yield (index, 0), Line(at, TimeSource.WORKER, event.actor, what, detail)

    def place_of(self, rank: int, kind: str, **payload: Any) -> _Place:
        """Return the place behind the last event of this kind that says so; behind all events without one."""
        found = (index for index in reversed(range(len(self._events))) if self._says(index, kind, payload))
        return next(found, len(self._events)), rank

    def tells_of(self, kind: str, **payload: Any) -> bool:
        """Tell whether an event of this kind says so."""
        return any(self._says(index, kind, payload) for index in range(len(self._events)))

    def was_ended_by(self, actor: str) -> bool:
        """Tell whether this operator has ended the trade by hand."""
        return any(event.kind == "resolved" and event.actor == actor for event, _ in self._events)

    def _says(self, index: int, kind: str, wanted: dict[str, Any]) -> bool:
        event, payload = self._events[index]
        return event.kind == kind and all(payload.get(name) == value for name, value in wanted.items())


def _arrival(story: ExecutionStory) -> Iterator[_Placed]:
    execution, message = story.execution, story.execution.message
    named = {"key": message.routing_key, "message_id": message.message_id, "correlation_id": message.correlation_id}
    named |= {"reply_to": message.reply_to, "redelivered": "yes" if message.redelivered else None}
    detail = ", ".join(f"{name} {value}" for name, value in named.items() if value)
    yield (_FIRST, 0), Line(execution.received_at, TimeSource.WORKER, "worker", "message received", detail)
    if execution.validated_at is not None:
        touch = "" if execution.first_touch is None else f"the touch is {plain(execution.first_touch)}"
        line = Line(execution.validated_at, TimeSource.WORKER, "worker", "first validated", touch)
        yield (0, 1), line


def _attempt(attempt: Attempt, trail: _Trail) -> Iterator[_Placed]:
    name = f"attempt {attempt.number}"
    if attempt.sent_at is not None:
        place = trail.place_of(1, "submitting", attempt=attempt.number)
        by = "" if attempt.sender is None else f"by terminal session {attempt.sender.rpartition(':')[2]}"
        yield place, Line(attempt.sent_at, TimeSource.WORKER, "worker", f"{name} sent", by)
    if attempt.answered_at is not None:
        place = trail.place_of(2, "submitting", attempt=attempt.number)
        said = {"code": attempt.retcode, "order": attempt.order_ticket, "last_error": attempt.last_error}
        detail = ", ".join(f"{name} {value}" for name, value in said.items() if value is not None)
        yield place, Line(attempt.answered_at, TimeSource.WORKER, "broker", f"{name} answered", detail)


def _deal(deal: Deal, story: ExecutionStory, trail: _Trail) -> Iterator[_Placed]:
    if deal.time is None:
        return  # an operator's word: its event tells of it
    number = next((attempt.number for attempt in story.attempts if attempt.magic == deal.magic), None)
    price = "" if deal.price is None else f" at {plain(deal.price)}"
    detail = f"{plain(deal.lots)} lots{price}, order {deal.order_id}, position {deal.position_id}"
    place = trail.place_of(3, "submitting", attempt=number)
    yield place, Line(deal.time, TimeSource.BROKER, "broker", f"deal {deal.deal_id}", detail)


def _publication(confirmation: StoredConfirmation, trail: _Trail) -> Iterator[_Placed]:
    if confirmation.published_at is not None:
        what = f"confirmation {confirmation.version} published"
        place = trail.place_of(1, "confirmed", version=confirmation.version)
        yield place, Line(confirmation.published_at, TimeSource.WORKER, "worker", what, confirmation.routing_key)


def _letter(letter: LetterOfTrade, trail: _Trail) -> Iterator[_Placed]:
    name = str(letter.id)
    if not trail.tells_of("dead_lettered", letter_id=name):
        detail = f"{letter.reason}, letter {name}: {letter.detail}"
        place = trail.place_of(0, "dead_lettered", letter_id=name)
        yield place, Line(letter.taken_in_at, TimeSource.WORKER, "worker", "dead letter taken in", detail)
    if letter.state_at is not None and letter.state in _CLOSED_BY_WORKER:
        # The letter names who replayed it. The worker has resolved it then, unless he ended the trade by hand.
        by = letter.state_by if letter.state_by and trail.was_ended_by(letter.state_by) else "worker"
        what, place = (
            f"dead letter {letter.state.replace('_', ' ')}",
            trail.place_of(3, "dead_lettered", letter_id=name),
        )
        yield place, Line(letter.state_at, TimeSource.WORKER, by, what, f"letter {name}")


def _replay(replay: ReplayLine, trail: _Trail) -> Iterator[_Placed]:
    name = str(replay.replay_id)
    if not trail.tells_of("replay_ordered", replay_id=name):
        place = trail.place_of(1, "replay_ordered", replay_id=name)
        yield place, Line(replay.created_at, TimeSource.WORKER, replay.by, "replay ordered", replay.reason)
    if replay.consumed_at is not None and not trail.tells_of("reopened", replay_id=name):
        place = trail.place_of(2, "replay_ordered", replay_id=name)
        detail = f"as {replay.consumed_as}, replay {name}"
        yield place, Line(replay.consumed_at, TimeSource.WORKER, "worker", "replay came back", detail)


def _with_lengths(lines: list[Line]) -> list[Line]:
    later = [_after(earlier, line) for earlier, line in pairwise(lines)]
    return [*lines[:1], *later]


def _after(earlier: Line, line: Line) -> Line:
    seconds = (line.at - earlier.at).total_seconds()
    return Line(line.at, line.clock, line.who, line.what, line.detail, seconds)
