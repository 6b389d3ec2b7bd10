"""Putting dead letters away, and taking them out again; none is ever deleted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from worker.domain.errors import Refused
from worker.ledger.desk import LetterState, LetterToChange, letters_named
from worker.ledger.operators import Operator, locked
from worker.ledger.statements import sql
from worker.ports import Event

CHUNK = 500  # letters a transaction: short enough not to keep the worker waiting

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Way:
    """A change of state that is made by hand."""

    done: str  # as a word of a sentence
    sources: Sequence[LetterState]
    target: LetterState
    event: str
    only: str  # who may be moved, in words

    def refuse_unless_possible(self, letters: Collection[LetterToChange]) -> None:
        """Raise Refused with the first letter that is not in a state to be moved."""
        for letter in letters:
            if letter.state not in self.sources:
                who = f" by {letter.state_by}" if letter.state_by else ""
                raise Refused(f"dead letter {letter.id} is {letter.state}{who}: only {self.only} can be {self.done}")


DISCARD = Way(
    done="discarded",
    sources=(LetterState.NEW, LetterState.FAILED_AGAIN),
    target=LetterState.DISCARDED,
    event="letter_discarded",
    only="a new one, or one that has failed again,",
)
RESTORE = Way(
    done="restored",
    sources=(LetterState.DISCARDED,),
    target=LetterState.NEW,
    event="letter_restored",
    only="a discarded one",
)


@dataclass(frozen=True, slots=True)
class Move:
    """An operator's wish to change letters by hand."""

    way: Way
    by: str
    reason: str


async def move(
    desk: Operator, wanted: Move, ids: Collection[UUID], on_progress: Progress = lambda _done, _of: None
) -> Sequence[UUID]:
    """
    Move these letters, each together with its audit event; returns which were moved.

    A letter that somebody else has changed meanwhile is left as it is. When it ends half-way, what is done stands, and
    the same call goes on with the rest. Raises NotFound before anything is changed.
    """
    moved: list[UUID] = []
    done = 0
    for account, letters in _chunks(await letters_named(desk, ids)):
        moved += await _move(desk, account, wanted, letters)
        done += len(letters)
        on_progress(done, len(ids))
    return moved


async def _move(desk: Operator, account: str, wanted: Move, letters: Sequence[UUID]) -> Sequence[UUID]:
    way = wanted.way
    async with locked(desk, account) as (_, page):
        values = {
            "ids": letters,
            "sources": list(map(str, way.sources)),
            "state": str(way.target),
            "by": wanted.by,
            "reason": wanted.reason,
            "at": desk.clock.now(),
        }
        cursor = await desk.connection.execute(sql("move_letters"), values)
        moved = await cursor.fetchall()
        for row in moved:
            about = {"letter_id": row["letter_id"], "reason": wanted.reason}
            page.append(Event(way.event, about, row["execution_id"], actor=wanted.by))
    return [row["letter_id"] for row in moved]


def _chunks(letters: Sequence[LetterToChange]) -> Iterator[tuple[str, Sequence[UUID]]]:
    for account, group in groupby(sorted(letters, key=attrgetter("desk")), attrgetter("desk")):
        ids = [letter.id for letter in group]
        for start in range(0, len(ids), CHUNK):
            yield account, ids[start : start + CHUNK]
