"""`dlq export` and `dlq import`: dead letters in a file."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from worker.cli.choices import By, Yes, examples
from worker.cli.dlq.filters import for_listing
from worker.cli.dlq.plans import counted, progress
from worker.cli.exits import ExitCode, complain, finish
from worker.cli.new_file import new_file
from worker.cli.parts import ledger, settings
from worker.ledger.desk import LetterFilter
from worker.ledger.letter_exchange import PAGE_BYTES, PAGE_LETTERS, already_here, exported, take_over
from worker.ledger.letter_file import LetterInFile, letters_in
from worker.settings import Settings

app = typer.Typer()

_FAULTS_TOLD = 20


@dataclass(slots=True)
class _Plan:
    """What an import would do: lines by their fate."""

    new: int = 0
    known: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)

    def refuse(self, line: int, fault: str) -> None:
        """Take note of a line that is not going to be imported."""
        self.refused += 1
        if len(self.faults) < _FAULTS_TOLD:
            self.faults.append(f"line {line}: {fault}")

    def __str__(self) -> str:
        return f"{self.new} new, {self.known} here already, {self.refused} malformed"


@app.command(
    epilog=examples(
        "mt5-worker dlq export letters.jsonl", "mt5-worker dlq export - --state new --since 1d | gzip > new.gz"
    )
)
@for_listing
def export(
    wanted: LetterFilter,
    file: Annotated[Path, typer.Argument(metavar="FILE|-", help="A new file, or - for standard output.")],
) -> None:
    """
    Write dead letters to a file, the oldest first: JSON lines with all that the ledger holds, bodies in base64.

    `dlq import` takes them over into another ledger, or into this one after a loss.
    """
    count = finish(_export(settings(), wanted, file))
    complain(f"{counted(count)} exported")


@app.command(
    "import", epilog=examples("mt5-worker dlq import letters.jsonl", "zcat new.gz | mt5-worker dlq import - --yes")
)
def import_(
    by: By,
    file: Annotated[Path, typer.Argument(metavar="FILE|-", help="What `dlq export` wrote, or - for standard input.")],
    yes: Yes = False,
) -> None:
    """
    Take dead letters over from a file. What is here already is left as it is, so a file can be imported twice.

    Each line is checked; malformed ones are named and left out. A letter that was being replayed, or whose order may
    stand at the broker without this ledger knowing its execution, comes in as discarded. The audit trail of ACCOUNT
    tells of each.
    """
    found = settings()
    with _seekable(file) as lines:
        plan = finish(_plan(found, lines))
        for fault in plan.faults:
            complain(fault)
        if not yes:
            typer.confirm(f"{plan}. Take over what is new?", abort=True, err=True)
        taken = finish(_import(found, lines, by, plan.new)) if plan.new else 0
    sys.stdout.write(f"{counted(taken)} taken over, {plan.known} here already\n")
    if plan.refused:
        complain(f"{plan.refused} malformed lines were left out")
        raise typer.Exit(ExitCode.FAILED)


async def _export(found: Settings, wanted: LetterFilter, place: Path) -> int:
    count = 0
    async with ledger(found) as desk:
        with _opened(place) as file, progress("exported") as on_progress:
            async for line in exported(desk, wanted):
                file.write(line)
                count += 1
                on_progress(count, None)
    return count


async def _plan(found: Settings, lines: BinaryIO) -> _Plan:
    plan = _Plan()
    async with ledger(found) as desk:
        for page in _pages(lines, plan.refuse):
            ids = {letter.letter_id for letter in page}
            here = await already_here(desk, ids)
            plan.new += len(ids) - len(here)
            plan.known += len(page) - len(ids) + len(here)
    return plan


async def _import(found: Settings, lines: BinaryIO, by: str, count: int) -> int:
    taken = 0
    async with ledger(found) as desk:
        with progress("taken over") as on_progress:
            for page in _pages(lines, lambda _line, _fault: None):
                taken += await take_over(desk, found.account, page, by)
                on_progress(taken, count)
    return taken


def _opened(place: Path) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdout.buffer) if str(place) == "-" else new_file(place)


def _pages(lines: BinaryIO, refuse: Callable[[int, str], None]) -> Iterator[Sequence[LetterInFile]]:
    """Yield the sound letters of a file from its beginning, in pages that fit a transaction."""
    lines.seek(0)
    page: list[LetterInFile] = []
    for number, found in letters_in(lines):
        if isinstance(found, str):
            refuse(number, found)
            continue
        if page and (len(page) == PAGE_LETTERS or sum(len(one.body) for one in (*page, found)) > PAGE_BYTES):
            yield page
            page = []
        page.append(found)
    if page:
        yield page


@contextmanager
def _seekable(place: Path) -> Iterator[BinaryIO]:
    """Open a file that is read twice: for the plan, and to carry it out. Standard input is kept on disk meanwhile."""
    if str(place) != "-":
        with place.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        yield kept
