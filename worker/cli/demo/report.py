"""What the demo shows: progress while it plays, tables at the end, and what was not as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from worker.cli.demo.conversation import Arrival, Story
from worker.cli.demo.trades import Sample, mistakes
from worker.cli.show import cell, print_table

_SIDES = {1: "buy", -1: "sell"}
_STYLES = {"filled": "green", "partially_filled": "green", "unresolved": "bold red"}


class Stopwatch:
    """Tells what is being done, and how long the last thing took."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Time one step."""
        began = self._console.get_time()
        with self._console.status(what):
            yield
        self._console.print(cell(f"{what}: {self._console.get_time() - began:.1f} s"))


class Bar:
    """Counts confirmations: a bar on a terminal, a line each elsewhere."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._done = console, total, 0
        columns = (TextColumn("confirmations"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tell(self, sample: Sample, arrivals: Sequence[Arrival]) -> None:
        """Note what came for one trade."""
        self._done += 1
        status = arrivals[-1].told["status"] if arrivals else "nothing came"
        self._progress.update(self._task, advance=1, description=f"{sample.symbol} {status}")
        if not self._console.is_terminal:
            self._console.print(cell(f"{self._done:3}/{self._total} {sample.symbol:<16} {status}: {sample.story}"))


def show_outcomes(stories: Sequence[Story]) -> None:
    """Print what became of each trade."""
    columns = ["symbol", "side", "units", "status, reason", "at price", "pips"]
    rows = [_outcome(story.arrivals[-1].told) for story in stories if story.arrivals]
    print_table(columns, rows, none="no confirmation came")


def show_times(stories: Sequence[Story]) -> None:
    """Print how long each stage took, in milliseconds."""
    columns = ["ms", "intake", "validation", "submission", "fill", "confirmation", "total"]
    rows = [[story.sample.symbol, *map(_milliseconds, stage_times(story))] for story in stories if story.arrivals]
    print_table(columns, rows, none="no confirmation came")


def _outcome(told: dict[str, Any]) -> list[object]:
    units = f"{told['executed_units'] or 0:g}/{told['intended_units'] or 0:g}"
    reason = told["rejection_reason"]
    return [
        told["symbol"],
        _SIDES.get(told["direction"]),
        units,
        told["status"] if reason is None else f"{told['status']}, {reason}",
        told["fill_price"],
        None if told["adverse_slippage_pips"] is None else f"{Decimal(str(told['adverse_slippage_pips'])):.1f}",
    ]


def stage_times(story: Story) -> list[float | None]:
    """Return the milliseconds of intake, validation, submission, fill, confirmation, and their sum."""
    first = story.arrivals[0]
    stations = ("received_at", "validated_at", "submitted_at", "filled_at")
    moments = [_moment(first.told[station]) for station in stations] + [first.at]
    times: list[float | None] = []
    last = story.published_at
    for moment in moments:
        times.append(None if moment is None else _between(last, moment))
        last = moment or last
    return [*times, _between(story.published_at, first.at)]


def shortcomings(stories: Sequence[Story]) -> list[str]:
    """Return what is missing or wrong, a sentence each."""
    return [sentence for story in stories for sentence in _shortcomings(story)]


def _shortcomings(story: Story) -> list[str]:
    sample, arrivals = story.sample, story.arrivals
    if len(arrivals) < sample.copies:
        return [f"{sample.symbol} ({sample.story}): {len(arrivals)} of {sample.copies} confirmations came"]
    if len({arrival.body for arrival in arrivals}) > 1:
        return [f"{sample.symbol} ({sample.story}): the confirmations differ from each other"]
    return mistakes(sample, arrivals[0].told)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _between(earlier: datetime, later: datetime) -> float:
    return (later - earlier).total_seconds() * 1000


def _milliseconds(time: float | None) -> str:
    return "" if time is None else f"{time:.1f}"
