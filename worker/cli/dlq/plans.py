"""What a change of many dead letters shows before it begins, and while it is at work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import Progress

from worker.cli.show import cell, print_table
from worker.ledger.desk import LetterToChange

_KINDS_SHOWN = 20


def agree(letters: Sequence[LetterToChange], done: str, *, yes: bool) -> None:
    """Show a change's plan and ask, unless the person has said yes; ends the program when the answer is no."""
    if yes:
        return
    _print_plan(letters)
    typer.confirm(f"{counted(len(letters))} will be {done}. Go on?", abort=True, err=True)


def counted(number: int) -> str:
    """Return so many dead letters in words."""
    return "1 dead letter" if number == 1 else f"{number} dead letters"


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show how far it is, on a terminal only, and leave nothing of it behind."""
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task(str(cell(title)), total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _print_plan(letters: Sequence[LetterToChange]) -> None:
    kinds = Counter((letter.account, letter.symbol, letter.reason, letter.state) for letter in letters)
    shown = [[*kind, number] for kind, number in kinds.most_common(_KINDS_SHOWN)]
    if len(kinds) > _KINDS_SHOWN:
        others = kinds.total() - sum(kinds[kind] for kind, _ in kinds.most_common(_KINDS_SHOWN))
        shown.append(["others", None, None, None, others])
    print_table(["account", "symbol", "reason", "state", "letters"], shown, none="", numbers=["letters"])
