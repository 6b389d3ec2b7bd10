"""Looking at dead letters."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from worker.domain.errors import NotFound, Refused
from worker.domain.message import IncomingMessage
from worker.ledger.encoding import Row
from worker.ledger.operators import Operator
from worker.ledger.records import message_from
from worker.ledger.statements import sql

MOST_LETTERS = 100_000
"""That one change may be about: their plan is held in memory, and a person looks at it."""


class LetterState(StrEnum):
    """What has been done about a dead letter."""

    NEW = "new"
    REPLAYING = "replaying"
    RESOLVED = "resolved"
    FAILED_AGAIN = "failed_again"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """
    Which dead letters are meant; None, or an empty list, means any.

    Times (UTC) bound when they failed: since <= time < until. `text` is looked for, whatever its case, in detail, trade
    id, exception and body. `group` is a fingerprint. `latest`, for a change: without those that failed again and have
    become another letter by that.
    """

    account: str | None = None
    symbol: str | None = None
    reasons: Sequence[str] = ()
    states: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    group: str | None = None
    latest: bool = False


@dataclass(frozen=True, slots=True)
class LetterLine:
    """
    One dead letter in a listing. `state` is a `LetterState`.

    `fingerprint` is what letters of one group share; `follows` is the letter whose replay failed with this one;
    `imported_by` is None for a letter that was taken in here.
    """

    id: UUID
    reason: str
    detail: str
    state: str
    account: str | None
    trade_id: str | None
    execution_id: UUID | None
    source_queue: str
    failed_at: datetime | None
    taken_in_at: datetime
    state_by: str | None
    state_reason: str | None
    state_at: datetime | None
    symbol: str | None = None
    exception: str | None = None
    fingerprint: str | None = None
    follows: UUID | None = None
    imported_by: str | None = None


@dataclass(frozen=True, slots=True)
class LetterToChange:
    """What a plan needs to know of a letter. `desk` is the account whose audit chain tells the letter's story."""

    id: UUID
    desk: str
    reason: str
    state: str
    state_by: str | None
    account: str | None
    symbol: str | None


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """
    Letters that failed for the same reason, in the same way.

    `states` counts them by `LetterState`; `newest` is the one that failed last, and `example` its detail.
    """

    fingerprint: str
    reason: str
    exception: str | None
    letters: int
    states: Mapping[str, int]
    first_at: datetime
    last_at: datetime
    newest: UUID
    example: str


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A whole dead letter: the message as RPM published it, and the headers it failed with."""

    line: LetterLine
    message: IncomingMessage
    headers: dict[str, Any]


async def dead_letters(desk: Operator, wanted: LetterFilter, limit: int) -> Sequence[LetterLine]:
    """Return the dead letters that fit and failed last, the newest first."""
    cursor = await desk.connection.execute(sql("list_dead_letters"), {**filter_values(wanted), "limit": limit})
    return [letter_line(row) for row in await cursor.fetchall()]


async def letter_groups(desk: Operator, wanted: LetterFilter, limit: int) -> Sequence[LetterGroup]:
    """Return the groups of the letters that fit; the one that grew last comes first."""
    cursor = await desk.connection.execute(sql("letter_groups"), {**filter_values(wanted), "limit": limit})
    return [LetterGroup(**row) for row in await cursor.fetchall()]


async def letters_to_change(desk: Operator, wanted: LetterFilter, limit: int | None = None) -> Sequence[LetterToChange]:
    """
    Return all letters that fit, or the first `limit` of them, the oldest first.

    Raises Refused when there are more than `MOST_LETTERS` and no limit was given.
    """
    values = {**filter_values(wanted), "limit": MOST_LETTERS + 1 if limit is None else limit}
    cursor = await desk.connection.execute(sql("letters_to_change"), values)
    found = [LetterToChange(**row) for row in await cursor.fetchall()]
    if limit is None and len(found) > MOST_LETTERS:
        raise Refused(f"more than {MOST_LETTERS} dead letters fit: narrow the filter, or take some with --limit")
    return found


async def letters_named(desk: Operator, ids: Collection[UUID]) -> Sequence[LetterToChange]:
    """Return the letters with these ids, the oldest first. Raises NotFound with those that there are not."""
    cursor = await desk.connection.execute(sql("letters_named"), {"ids": list(ids)})
    found = [LetterToChange(**row) for row in await cursor.fetchall()]
    missing = set(ids) - {letter.id for letter in found}
    if missing:
        raise NotFound(f"there is no dead letter {', '.join(sorted(map(str, missing)))}")
    return found


async def dead_letter(desk: Operator, letter_id: UUID) -> StoredLetter:
    """Return one dead letter with body and headers. Raises NotFound."""
    cursor = await desk.connection.execute(sql("dead_letter"), {"letter_id": letter_id})
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    return StoredLetter(letter_line(row), message_from(row["body"], row["envelope"]), row["headers"])


def letter_line(row: Row) -> LetterLine:
    """Return the letter of a row that may have more columns, or lack those with a default."""
    return LetterLine(**{name: row[name] for name in LetterLine.__dataclass_fields__ if name in row})


def filter_values(wanted: LetterFilter) -> dict[str, Any]:
    """Return a filter as the statements take it."""
    return asdict(wanted) | {"reasons": list(map(str, wanted.reasons)), "states": list(map(str, wanted.states))}
