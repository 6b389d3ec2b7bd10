"""How far long work is: on standard error, on a terminal only, and nothing of it stays there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

from worker.cli.show import cell

Show = Callable[[str, int, int | None], None]  # what is being worked on, how far it is, and of how much


@contextmanager
def progress() -> Iterator[Show]:
    """Return a function that shows how far it is; another thing's progress takes the place of the last one's."""
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, of: bar.update(task, description=str(cell(what)), completed=done, total=of)
