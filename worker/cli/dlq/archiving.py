"""`dlq discard` and `dlq restore`: putting dead letters away, and taking them out again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated
from uuid import UUID

import typer

from worker.cli.choices import By, Reason, Yes, examples
from worker.cli.dlq.filters import chosen, for_change
from worker.cli.dlq.letter import LetterIds
from worker.cli.dlq.plans import agree, counted, progress
from worker.cli.exits import ExitCode, complain, finish
from worker.cli.parts import ledger, settings
from worker.ledger.archive import DISCARD, RESTORE, Move, move
from worker.ledger.desk import MOST_LETTERS, LetterFilter, LetterToChange, letters_named, letters_to_change
from worker.settings import Settings

app = typer.Typer()

Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, max=MOST_LETTERS, show_default="all", help="At most so many, the oldest first."),
]


@app.command(
    epilog=examples(
        'mt5-worker dlq discard 0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a --reason "a test message"',
        'mt5-worker dlq discard --failure malformed_json --until 30d --reason "nobody misses them"',
        'mt5-worker dlq discard --group 3f9ac01b77de --reason "fixed in RPM 2.4" --yes',
    )
)
@for_change
def discard(  # noqa: PLR0917 - what the command line has
    by: By, reason: Reason, wanted: LetterFilter, ids: LetterIds = None, limit: Limit = None, yes: Yes = False
) -> None:
    """
    Put dead letters away that need nobody any more: those that are named, or all new ones of a filter.

    They stay in the ledger, and `dlq restore` takes them out again. A filter takes those that are new or have failed
    again; it shows its plan and asks.
    """
    _move(Move(DISCARD, by, reason), chosen(ids, wanted), wanted, limit, yes=yes)


@app.command(
    epilog=examples(
        'mt5-worker dlq restore 0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a --reason "put away by mistake"',
        'mt5-worker dlq restore --symbol EURUSD --since 1h --reason "the wrong symbol"',
    )
)
@for_change
def restore(  # noqa: PLR0917 - what the command line has
    by: By, reason: Reason, wanted: LetterFilter, ids: LetterIds = None, limit: Limit = None, yes: Yes = False
) -> None:
    """Take discarded dead letters out again: they are new then."""
    _move(Move(RESTORE, by, reason), chosen(ids, wanted), wanted, limit, yes=yes)


def _move(order: Move, ids: Sequence[UUID], wanted: LetterFilter, limit: int | None, *, yes: bool) -> None:
    found = settings()
    letters = finish(_letters(found, order, ids, wanted, limit))
    if not letters:
        sys.stdout.write("no dead letter fits: nothing to do\n")
        return
    agree(letters, order.way.done, yes=yes or bool(ids))
    moved = finish(_carry_out(found, order, [letter.id for letter in letters]))
    sys.stdout.write(f"{counted(len(moved))} {order.way.done}\n")
    if len(moved) < len(letters):
        complain(f"{counted(len(letters) - len(moved))} left as they are: somebody else has changed them meanwhile")
        raise typer.Exit(ExitCode.FAILED)


async def _letters(
    found: Settings, order: Move, ids: Sequence[UUID], wanted: LetterFilter, limit: int | None
) -> Sequence[LetterToChange]:
    async with ledger(found) as desk:
        if not ids:
            return await letters_to_change(desk, replace(wanted, states=order.way.sources), limit)
        letters = await letters_named(desk, ids)
        order.way.refuse_unless_possible(letters)
        return letters


async def _carry_out(found: Settings, order: Move, ids: Sequence[UUID]) -> Sequence[UUID]:
    async with ledger(found) as desk:
        with progress(order.way.done) as on_progress:
            return await move(desk, order, ids, on_progress)
