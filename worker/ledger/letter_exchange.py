"""Taking dead letters out to a file, and over from the file of another ledger, or of this one before a loss."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.ledger.desk import LetterFilter, filter_values
from worker.ledger.encoding import rows_as_json
from worker.ledger.letter_file import LetterInFile, line_of
from worker.ledger.operators import Operator, locked
from worker.ledger.statements import sql
from worker.ports import Event

PAGE_LETTERS = 200
PAGE_BYTES = 16 * 1024 * 1024  # of bodies


async def exported(desk: Operator, wanted: LetterFilter) -> AsyncIterator[bytes]:
    """
    Yield a line for each letter that fits and has failed by now, the oldest first.

    Page by page: no transaction stays open, and memory is bounded, whatever there is and however slow its reader.
    """
    values = filter_values(replace(wanted, until=wanted.until or desk.clock.now()))
    values |= {"limit": PAGE_LETTERS, "bytes": PAGE_BYTES, "after": None, "after_id": None}
    while True:
        cursor = await desk.connection.execute(sql("letters_to_export"), values)
        letters = await cursor.fetchall()
        if not letters:
            return
        for letter in letters:
            yield line_of(letter)
        values |= {"after": letters[-1]["failed_at"], "after_id": letters[-1]["letter_id"]}


async def already_here(desk: Operator, ids: Collection[UUID]) -> set[UUID]:
    """Return which of these letters the ledger has."""
    cursor = await desk.connection.execute(sql("letters_named"), {"ids": list(ids)})
    return {row["id"] for row in await cursor.fetchall()}


async def take_over(desk: Operator, account: str, letters: Sequence[LetterInFile], by: str) -> int:
    """
    Write letters down that are not here yet, each with its audit event in the account's chain; returns how many.

    A letter is known by its id. One that was being replayed, or whose order may stand at the broker while this ledger
    does not know its execution, is put away: to try it here might trade twice. Raises NotFound for the account.
    """
    async with locked(desk, account) as (_, page):
        now = desk.clock.now()
        rows = [_row(letter, now) | {"desk": account, "imported_by": by} for letter in letters]
        values = {"rows": rows_as_json(rows), "bodies": [letter.body for letter in letters], "by": by, "at": now}
        cursor = await desk.connection.execute(sql("take_letters_over"), values)
        taken = await cursor.fetchall()
        for row in taken:
            page.append(Event("letter_imported", row, row["execution_id"], actor=by))
    return len(taken)


def _row(letter: LetterInFile, now: datetime) -> dict[str, Any]:
    # No letter failed in the future, whatever its file says: it would stay on top of every listing.
    return letter.model_dump(exclude={"format", "body"}) | {"failed_at": min(letter.failed_at, now)}
