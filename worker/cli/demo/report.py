"""What the demo shows: progress while it plays, tables at the end, and what was not as it should be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from worker.cli.demo.conversation import Arrival, Story
from worker.cli.demo.terminal_calls import TerminalCalls, milliseconds
from worker.cli.demo.trades import Sample, mistakes
from worker.cli.show import cell, print_table
from worker.ledger.desk import LetterLine

_SIDES = {1: "buy", -1: "sell"}
STAGES = ("intake", "validate", "submit", "fill", "confirm")
_STATIONS = ("received_at", "validated_at", "submitted_at", "filled_at")  # the end of each stage but the last


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


def show_outcomes(console: Console, stories: Sequence[Story]) -> None:
    """Print what became of each trade."""
    console.print()
    columns = ["symbol", "side", "units", "status, reason", "price", "pips"]
    rows = [_outcome(story.arrivals[-1].told) for story in stories if story.arrivals]
    print_table(columns, rows, none="no confirmation came", whole=columns, numbers=["units", "price", "pips"])


def show_times(console: Console, stories: Sequence[Story], calls: TerminalCalls) -> None:
    """Print how long each stage took, and how much of it all was the worker's own."""
    console.print(
        cell("\nMilliseconds from publishing to the confirmation's arrival; own = total without terminal calls")
    )
    columns = ["symbol", *STAGES, "total", "own"]
    rows = [_times(story, calls) for story in stories if story.arrivals]
    print_table(columns, rows, none="no confirmation came", whole=columns, numbers=columns[1:])


def _outcome(told: dict[str, Any]) -> list[object]:
    reason, pips = told["rejection_reason"], told["adverse_slippage_pips"]
    return [
        told["symbol"],
        _SIDES.get(told["direction"]),
        f"{told['executed_units'] or 0:g}/{told['intended_units'] or 0:g}",
        told["status"] if reason is None else f"{told['status']},\n{reason}",
        told["fill_price"],
        None if pips is None else f"{round(pips, 1) + 0.0:.1f}",
    ]


def _times(story: Story, calls: TerminalCalls) -> list[object]:
    stages, total = stage_times(story)
    own = None if story.sample.patient else total - calls.of(story)
    return [story.sample.symbol, *(_milliseconds(stage) for stage in (*stages, total, own))]


def stage_times(story: Story) -> tuple[list[float | None], float]:
    """Return the milliseconds of each stage, None for those that it did not reach, and of all together."""
    first = story.arrivals[0]
    moments = [*(_moment(first.told[station]) for station in _STATIONS), first.at]
    stages: list[float | None] = []
    last = story.published_at
    for moment in moments:
        stages.append(None if moment is None else milliseconds(last, moment))
        last = moment or last
    return stages, milliseconds(story.published_at, first.at)


def show_letters(console: Console, letters: Sequence[LetterLine]) -> None:
    """Print what waits for a person."""
    console.print(cell("\nDead letters, for a person to look at: `mt5-worker dlq list`"))
    rows = [[letter.reason, letter.detail] for letter in letters]
    print_table(["reason", "detail"], rows, none="none", whole=["reason"])
    console.print()


def shortcomings(stories: Sequence[Story], letters: Sequence[LetterLine]) -> list[str]:
    """Return what is missing or wrong, a sentence each."""
    lettered = {str(letter.execution_id) for letter in letters}
    return [sentence for story in stories for sentence in _shortcomings(story, lettered)]


def _shortcomings(story: Story, lettered: Collection[str]) -> list[str]:
    sample, arrivals = story.sample, story.arrivals
    if len(arrivals) < sample.copies:
        return [f"{sample.symbol} ({sample.story}): {len(arrivals)} of {sample.copies} confirmations came"]
    if len({arrival.body for arrival in arrivals}) > 1:
        return [f"{sample.symbol} ({sample.story}): the confirmations differ from each other"]
    if sample.for_a_person != (arrivals[0].told["execution_id"] in lettered):
        return [f"{sample.symbol} ({sample.story}): {'no' if sample.for_a_person else 'a'} dead letter came"]
    return mistakes(sample, arrivals[0].told)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _milliseconds(time: float | None) -> str:
    return "" if time is None else f"{time:.1f}"
