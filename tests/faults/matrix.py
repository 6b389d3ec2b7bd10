"""
The crash matrix: the worker of an account is ended at every point that its day passes, and again while it recovers.

    python -m tests.faults.matrix                          every point, and 200 pairs drawn by a new seed
    python -m tests.faults.matrix --every-pair             every pair of lasting points (see pairs.py), in chains
    python -m tests.faults.matrix --pairs all              every point and every pair, however alike: many hours
    python -m tests.faults.matrix --pairs all --minutes 50 as many of them as begin in that time
    python -m tests.faults.matrix --only session.send.after.submit=kill-all ledger.take.after=kill

The points are found by watching an undisturbed day; the second ones of the pairs by watching each recovery. Prints a
table, and for every run that went wrong what is wrong and the command that repeats it. Exit code 1 then.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import math
import queue
import secrets
import statistics
import sys
import tempfile
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ops.services import Way, start_services
from tests.faults.crashes import Lane, Result, crash_at, open_lanes
from tests.faults.pairs import LASTING, chains
from worker.observability import configure_logging
from worker.settings import LogFormat

PAIRS = 200
AT_A_TIME = 8
_WIDTH = 130  # of the table, where the output is no terminal

Chain = tuple[str, ...]  # the points at which a run's worker is ended, one after the other
_say = Console(stderr=True)


class TimeIsOver(Exception):
    """A run was not begun."""


class Lanes:
    """Lends each run a lane; as many run side by side as there are lanes, and none begins after `until`."""

    def __init__(self, lanes: Sequence[Lane], until: float = math.inf) -> None:
        self._until = until
        self._free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        self._count = len(lanes)
        for lane in lanes:
            self._free.put(lane)

    def run(self, chains: Iterable[Chain], *, a_day_each: bool = False) -> Iterator[tuple[Chain, Result | Exception]]:
        """Make a run of every chain and yield them as they end."""
        with ThreadPoolExecutor(self._count) as pool:
            runs = {pool.submit(self._one, chain, a_day_each): chain for chain in chains}
            for run in as_completed(runs):
                failure = run.exception()
                if failure is not None and not isinstance(failure, Exception):
                    raise failure
                yield runs[run], failure or run.result()

    def _one(self, chain: Chain, a_day_each: bool) -> Result:  # noqa: FBT001 - passed on
        if monotonic() > self._until:
            raise TimeIsOver
        lane = self._free.get()
        try:
            return crash_at(lane, *chain, a_day_each=a_day_each)
        finally:
            self._free.put(lane)


def faults_at(points: Iterable[str]) -> list[str]:
    """Return how to end the worker at these points: in a session's process with it, and the session alone."""
    return [
        f"{point}={action}"
        for point in sorted(points)
        for action in (("kill-all", "kill") if point.startswith("session.") else ("kill",))
    ]


def later_hits(passed: Mapping[str, int], rounds: int, random: Random) -> list[str]:
    """Return, for further rounds, each fault at a hit of its point that is not the first one."""
    return [
        f"{fault.partition('=')[0]}@{random.randint(2, times)}={fault.partition('=')[2]}"
        for point, times in sorted(passed.items())
        if times > 1
        for fault in faults_at([point])
        for _ in range(rounds - 1)
    ]


@dataclass
class Line:
    """What became of the runs whose worker was first ended at one point."""

    runs: int = 0
    missed: int = 0
    duplicates: int = 0
    lost: int = 0
    wrong: int = 0
    recoveries: list[float] = field(default_factory=list)

    def take(self, result: Result) -> None:
        """Count one run."""
        self.runs += 1
        self.missed += len(result.missed)
        self.duplicates += len(result.verdict.duplicates)
        self.lost += len(result.verdict.lost)
        self.wrong += len(result.verdict.wrong) + len(result.problems)
        self.recoveries.append(result.recovery_seconds)

    @property
    def cells(self) -> Iterator[str]:
        """Its columns as text."""
        yield from (str(n) for n in (self.runs, self.missed, self.duplicates, self.lost, self.wrong))
        yield f"{statistics.median(self.recoveries):.1f}" if self.recoveries else "-"
        yield f"{max(self.recoveries):.1f}" if self.recoveries else "-"


class Tally:
    """The results so far."""

    def __init__(self) -> None:
        self.failures: dict[Chain, str] = {}
        self.recovered: dict[str, Counter[str]] = {}  # what the recovery from each single fault has passed
        self.pairs: Counter[tuple[str, str]] = Counter()  # of points that were really passed, one life after the other
        self._lines: defaultdict[str, Line] = defaultdict(Line)
        self._again: Counter[str] = Counter()
        self.not_begun = 0

    def take(self, chain: Chain, result: Result | Exception) -> None:
        """Count one run."""
        if isinstance(result, TimeIsOver):
            self.not_begun += 1
            return
        if isinstance(result, Exception):
            self.failures[chain] = "".join(traceback.format_exception(result))
            return
        first, *later = chain or ("-",)
        self._lines[_point(first)].take(result)
        self._again.update(map(_point, later))
        self.pairs.update(
            (before.armed, after.armed)
            for before, after in itertools.pairwise(result.lives)
            if before.reached_its_end and after.reached_its_end
        )
        if not later and not result.missed:
            self.recovered[first] = result.lives[-1].passed
        if not result.is_clean:
            self.failures[chain] = str(result)

    def table(self, title: str) -> Table:
        """Return a line for each point and one for all of them."""
        table = Table(title=title)
        table.add_column("point", no_wrap=True)
        names = ("runs", "missed", "duplicates", "lost", "wrong", "recovery s", "at most", "second")
        for name in names:
            table.add_column(name, justify="right")
        total = Line()
        for point, line in sorted(self._lines.items()):
            table.add_row(point, *line.cells, str(self._again[point]))
            for name in ("runs", "missed", "duplicates", "lost", "wrong"):
                setattr(total, name, getattr(total, name) + getattr(line, name))
            total.recoveries += line.recoveries
        table.add_section()
        table.add_row("all", *total.cells, str(self._again.total()))
        return table


def _point(fault: str) -> str:
    return fault.partition("=")[0].partition("@")[0]


@dataclass(frozen=True)
class Wishes:
    """What to run."""

    seed: int
    pairs: int | None  # None: all of them
    rounds: int
    at_a_time: int
    only: Chain
    every_pair: bool
    minutes: float


def run(wishes: Wishes) -> int:
    """Make all runs on services of their own; returns the exit code."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    configure_logging("WARNING", LogFormat.CONSOLE)
    tally, began = Tally(), monotonic()
    with start_services(without={Way.GIVEN}) as services, tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        name = f"matrix_{secrets.token_hex(4)}"
        with open_lanes(services, name, wishes.at_a_time, Path(folder)) as opened, _progress() as progress:
            _run_all(Lanes(opened, began + wishes.minutes * 60), wishes, tally, progress)
    paper = Console()
    paper.width = max(paper.width, _WIDTH)
    paper.print(tally.table(f"seed {wishes.seed}, {monotonic() - began:.0f} s"))
    paper.print(f"pairs of points passed one life after the other: {len(tally.pairs)} different ones")
    if tally.not_begun:
        _say.print(f"The time was over before {tally.not_begun} more runs.")
    for chain, story in sorted(tally.failures.items()):
        again = f"python -m tests.faults.matrix {'--every-pair ' if wishes.every_pair else ''}--only {' '.join(chain)}"
        _say.print(f"\n{story}\n  again: {again}", markup=False)
    return 1 if tally.failures else 0


def _run_all(lanes: Lanes, wishes: Wishes, tally: Tally, progress: Progress) -> None:
    def perform(what: str, chains: Sequence[Chain], *, a_day_each: bool = False) -> None:
        bar = progress.add_task(what, total=len(chains), wrong=len(tally.failures))
        for chain, result in lanes.run(chains, a_day_each=a_day_each):
            tally.take(chain, result)
            progress.update(bar, advance=1, wrong=len(tally.failures))

    if wishes.only:
        perform("one chain", [wishes.only], a_day_each=wishes.every_pair)
        return
    if wishes.every_pair:
        perform("chains", list(chains(LASTING)), a_day_each=True)
        return
    random = Random(wishes.seed)  # noqa: S311 - it is to be repeatable
    [(_, undisturbed)] = lanes.run([()])
    if isinstance(undisturbed, Exception):
        raise undisturbed
    tally.take((), undisturbed)
    passed = undisturbed.lives[0].passed
    perform("points", [(fault,) for fault in [*faults_at(passed), *later_hits(passed, wishes.rounds, random)]])
    pairs = [(first, second) for first, then in sorted(tally.recovered.items()) for second in faults_at(then)]
    random.shuffle(pairs)
    perform("pairs", pairs[: wishes.pairs])


def _progress() -> Progress:
    wrong = TextColumn("{task.fields[wrong]} wrong")
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), wrong, TimeElapsedColumn(), console=_say
    )


def _count_or_all(text: str) -> int | None:
    return None if text == "all" else int(text)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seed", type=int, help="draws the pairs and the later hits (default: a new one)")
    parser.add_argument(
        "--pairs", type=_count_or_all, default=PAIRS, help=f"how many, or 'all' (default {PAIRS})", metavar="N"
    )
    parser.add_argument("--rounds", type=int, default=1, help="further ones take later hits of each point (default 1)")
    parser.add_argument("--side-by-side", type=int, default=AT_A_TIME, help=f"at a time (default {AT_A_TIME})")
    parser.add_argument("--every-pair", action="store_true", help="every pair of lasting points, a day for each life")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin nothing after that (default: no limit)")
    parser.add_argument("--only", nargs="+", default=[], help="end one worker at these points, in turn", metavar="F")
    given = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    return run(
        Wishes(
            seed=seed,
            pairs=given.pairs,
            rounds=given.rounds,
            at_a_time=given.side_by_side,
            only=tuple(given.only),
            every_pair=given.every_pair,
            minutes=given.minutes,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
