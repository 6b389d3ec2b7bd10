"""Looking at dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.domain.errors import NotFound
from worker.domain.message import IncomingMessage
from worker.ledger.encoding import Row
from worker.ledger.operators import Operator
from worker.ledger.records import message_from
from worker.ledger.statements import sql


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters to list; None means any. Times bound when they were taken in: since <= time < until."""

    account: str | None = None
    reason: str | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LetterLine:
    """One dead letter in a listing. `state`: new, replaying, resolved, failed_again or discarded."""

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


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A whole dead letter: the message as RPM published it, and the headers it failed with."""

    line: LetterLine
    message: IncomingMessage
    headers: dict[str, Any]


async def dead_letters(desk: Operator, wanted: LetterFilter, limit: int) -> Sequence[LetterLine]:
    """Return the newest dead letters that fit, newest first."""
    cursor = await desk.connection.execute(sql("list_dead_letters"), {**asdict(wanted), "limit": limit})
    return [letter_line(row) for row in await cursor.fetchall()]


async def dead_letter(desk: Operator, letter_id: UUID) -> StoredLetter:
    """Return one dead letter with body and headers. Raises NotFound."""
    cursor = await desk.connection.execute(sql("dead_letter"), {"letter_id": letter_id})
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    return StoredLetter(letter_line(row), message_from(row["body"], row["envelope"]), row["headers"])


def letter_line(row: Row) -> LetterLine:
    """Return the letter of a row that may have more columns."""
    return LetterLine(**{name: row[name] for name in LetterLine.__dataclass_fields__})
