"""
Many storms, several side by side on one RabbitMQ and one PostgreSQL, with quakes below them.

    python -m tests.faults.storms --seeds 200              the seeds 1 to 200
    python -m tests.faults.storms --seed 17 --quakes 0     one of them, alone and on solid ground

Prints a table, and for every storm that went wrong what is wrong and the command that repeats it. Exit code 1 then.
"""

from __future__ import annotations

import argparse
import logging
import secrets
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import monotonic, sleep

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ops.services import Services, Way, start_services
from tests.faults.plan import TRADES, plan
from tests.faults.quakes import COME_OF_AGE_SECONDS, Quakes
from tests.faults.storm import Births, Report, Storm
from tests.fixtures.worker_process import run_command

SIDE_BY_SIDE = 10
STAGGER_SECONDS = 5.0
QUAKE_EVERY_SECONDS = 45.0

_say = Console(stderr=True)


@dataclass(frozen=True)
class Ground:
    """Where storms take place: a virtual host and a database with the ledger's tables, shared by all of them."""

    amqp_url: str
    postgres_url: str
    folder: Path
    births: Births

    def storm(self, seed: int, trades: int = TRADES) -> Report:
        """Let one storm happen."""
        folder = self.folder / f"storm-{seed}"
        folder.mkdir()
        return Storm(plan(seed, trades), self.amqp_url, self.postgres_url, folder, self.births).run()


@contextmanager
def ground(services: Services, folder: Path, births: Births) -> Iterator[Ground]:
    """Prepare them."""
    name = f"storms_{secrets.token_hex(4)}"
    amqp_url, postgres_url = services.new_vhost(name), services.new_database(name)
    settings = {"AMQP_URL": amqp_url, "POSTGRES_URL": postgres_url}
    migrated = run_command("db", "migrate", settings=settings, folder=folder)
    if migrated.code:
        raise RuntimeError(migrated.said)
    yield Ground(amqp_url, postgres_url, folder, births)
    services.delete_vhost(name)
    services.drop_database(name)


def side_by_side(
    place: Ground, seeds: Iterable[int], at_a_time: int, tell: Callable[[int, Report | Exception], None]
) -> None:
    """Let storms happen, so many at a time, and tell of each as it ends."""
    begun = count()

    def in_turn(seed: int) -> Report:
        if (number := next(begun)) < at_a_time:
            sleep(number * STAGGER_SECONDS)  # or all would start their workers in the same second, again and again
        return place.storm(seed)

    with ThreadPoolExecutor(at_a_time) as pool:
        storms = {pool.submit(in_turn, seed): seed for seed in seeds}
        for storm in as_completed(storms):
            failure = storm.exception()
            if failure is not None and not isinstance(failure, Exception):
                raise failure
            tell(storms[storm], failure or storm.result())


class Tally:
    """The results so far, told in words at the end."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.failures: dict[int, str] = {}

    def take(self, seed: int, result: Report | Exception) -> None:
        """Count one storm."""
        if isinstance(result, Exception):
            self.failures[seed] = "".join(traceback.format_exception(result))
            return
        self.reports.append(result)
        if not result.verdict.is_clean:
            self.failures[seed] = self._story(result)

    def table(self, seconds: float, counted: Counter[str]) -> Table:
        """Return all of it in a few rows."""
        verdicts = [report.verdict for report in self.reports]
        faults = Counter(
            f"{fault.target.value}: {fault.trick.value}" for report in self.reports for fault in report.plan.faults
        )
        faults += counted
        table = Table("what", "how often", title=f"{len(self.reports)} storms in {seconds:.0f} s")
        table.add_row("trades", str(sum(verdict.trades for verdict in verdicts)))
        table.add_row("lives of workers", str(sum(report.lives for report in self.reports)))
        for name, times in sorted(faults.items()):
            table.add_row(name, str(times))
        table.add_section()
        for outcome, times in sum((verdict.outcomes for verdict in verdicts), Counter()).most_common():
            table.add_row(" ".join(word for word in outcome if word), str(times))
        table.add_section()
        table.add_row("duplicates", str(sum(len(verdict.duplicates) for verdict in verdicts)))
        table.add_row("lost", str(sum(len(verdict.lost) for verdict in verdicts)))
        table.add_row("wrong", str(sum(len(verdict.wrong) for verdict in verdicts)))
        table.add_row("storms that broke off", str(len(self.failures.keys() - {r.plan.seed for r in self.reports})))
        return table

    def _story(self, report: Report) -> str:
        faults = "\n".join(f"  {fault}" for fault in report.plan.faults)
        return f"{report.verdict}\n{faults}\n  log and book: {report.folder}"


def run(seeds: Sequence[int], at_a_time: int, quakes: int) -> int:
    """Let storms happen on services of their own; returns the exit code."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # outages are what this is about
    folder, tally, began = Path(tempfile.mkdtemp(prefix="storms-")), Tally(), monotonic()
    births = Births(COME_OF_AGE_SECONDS if quakes else 0)
    with (
        start_services(without={Way.GIVEN}) as services,
        ground(services, folder, births) as place,
        _progress() as progress,
    ):
        bar = progress.add_task("storms", total=len(seeds), wrong=0)

        def tell(seed: int, result: Report | Exception) -> None:
            tally.take(seed, result)
            progress.update(bar, advance=1, wrong=len(tally.failures))

        shaking = Quakes(services, births, quakes, QUAKE_EVERY_SECONDS)
        with shaking if quakes else nullcontext():
            side_by_side(place, seeds, at_a_time, tell)
    Console().print(tally.table(monotonic() - began, shaking.counted))
    for seed, story in sorted(tally.failures.items()):
        _say.print(f"\nStorm {seed}: {story}\n  again: python -m tests.faults.storms --seed {seed}", markup=False)
    return 1 if tally.failures else 0


def _progress() -> Progress:
    wrong = TextColumn("{task.fields[wrong]} wrong")
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), wrong, TimeElapsedColumn(), console=_say
    )


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storms", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seeds", type=int, default=200, help="how many storms (default 200)")
    parser.add_argument("--first", type=int, default=1, help="the first one's seed (default 1)")
    parser.add_argument("--seed", type=int, help="this one only")
    parser.add_argument("--side-by-side", type=int, default=SIDE_BY_SIDE, help=f"at a time (default {SIDE_BY_SIDE})")
    parser.add_argument("--quakes", type=int, default=1, help="seed of the quakes below all storms; 0 = none")
    given = parser.parse_args()
    seeds = [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
    return run(seeds, given.side_by_side, given.quakes)


if __name__ == "__main__":
    sys.exit(main())
