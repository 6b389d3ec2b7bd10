"""What every part of the benchmark gets: services, a folder, how much to measure, and somebody who waits for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ops.services import Services

_T = TypeVar("_T")


@dataclass(frozen=True)
class Options:
    """How much is measured: runs of everything that is compared, and whether a rough idea is enough."""

    runs: int = 5
    quick: bool = False


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark. Each module measures with it: `measure(bench) -> Section`."""

    services: Services
    folder: Path
    options: Options

    def sized(self, whole: int, quick: int) -> int:
        """Return the size of something in the whole benchmark, or in a quick one."""
        return quick if self.options.quick else whole

    def steps(self, title: str, steps: Sequence[_T]) -> Iterator[_T]:
        """Go through the steps of a measurement; a person at a terminal sees which one it is and how many are left."""
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total}"))
        console = Console(stderr=True)
        with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(title, total=len(steps))
            for step in steps:
                progress.update(task, description=f"{title}: {step}")
                yield step
                progress.advance(task)
