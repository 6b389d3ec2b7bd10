"""Recovery: how long a worker that starts takes until it trades again, and until all that was open is settled."""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

from ops.bench.bench import Bench
from ops.bench.desk import Desk, open_desk
from ops.bench.figures import Claim, Figure, Plot, Section, at_most
from ops.bench.open_orders import NEVER_FILLED, OPEN_SETTINGS
from ops.bench.records import until_accepted

COUNTS, QUICK_COUNTS = (0, 100, 1000, 5000), (0, 20, 200, 1000)
LINEAR = 5.5  # beyond what a start takes anyway, five times as many may take so many times as long
RESOLUTION = 0.02  # seconds; confirmations are counted so often

_STOPPED = "trading again after a stop"
_KILLED = "trading again after a kill"
_SETTLED = "all settled after a kill"
_MEASURED = (_STOPPED, _KILLED, _SETTLED)

_NOTES = (
    "from the start of the worker's process; it trades again when a trade published before has been confirmed",
    "after a kill the dead worker's lease has to run out first: five seconds",
    "all settled: the broker has filled them while no worker ran, and each one's confirmation has been published",
)
_LOOK = (
    "from worker.mt5 import simulated; simulated.install(); import MetaTrader5 as mt5; "
    "assert mt5.initialize() and not mt5.orders_total(), mt5.last_error(); mt5.shutdown()"
)

Line = Sequence[tuple[int, Figure]]  # by the number of open executions


def measure(bench: Bench) -> Section:
    """End a worker with none to 5000 open executions in different ways, and start it again."""
    counts = QUICK_COUNTS if bench.options.quick else COUNTS
    runs = {count: list(_runs(bench, count)) for count in bench.steps("recovery", counts)}
    lines = {name: [(count, _figure(name, count, runs[count])) for count in counts] for name in _MEASURED}
    points = {name: [(count, figure.median) for count, figure in line] for name, line in lines.items()}
    return Section(
        "Recovery",
        [figure for line in lines.values() for _, figure in line],
        [_is_linear(name, line) for name, line in lines.items()],
        [*(_constants(name, line) for name, line in lines.items()), *_NOTES],
        plots=[Plot("recovery", "open executions", "s", points)],
    )


def _figure(name: str, count: int, runs: Sequence[Mapping[str, float]]) -> Figure:
    return Figure(f"{name}, {count} open", "s", [run[name] for run in runs])


def _constants(name: str, line: Line) -> str:
    counts, seconds = zip(*((count, figure.median) for count, figure in line), strict=True)
    each, at_all = statistics.linear_regression(counts, seconds)
    return f"{name}: {at_all:.2f} s, and {1000 * each:.2f} ms for each open execution"


def _is_linear(name: str, line: Line) -> Claim:
    (_, none), _, (fewer, some), (more, many) = line
    times_as_long = (many.median - none.median) / max(some.median - none.median, RESOLUTION)
    return at_most(f"{name}: {more} open against {fewer}, both beyond none", times_as_long, LINEAR)


def _runs(bench: Bench, count: int) -> Iterator[dict[str, float]]:
    with open_desk(bench.services, bench.folder, settings=OPEN_SETTINGS) as desk:
        desk.start_worker()
        desk.until_consuming()
        for _ in range(bench.options.runs):
            desk.publish(count, symbols=NEVER_FILLED)
            until_accepted(desk, count)
            yield {
                _STOPPED: _trades_again(desk, after=desk.stop_worker),
                _KILLED: _trades_again(desk, after=desk.kill_worker),
                _SETTLED: _settles(desk, count),
            }


def _trades_again(desk: Desk, after: Callable[[], None]) -> float:
    after()
    return _started(desk, confirmations=1)


def _settles(desk: Desk, count: int) -> float:
    desk.kill_worker()
    _fill_all(desk)
    return _started(desk, confirmations=1 + count)


def _started(desk: Desk, confirmations: int) -> float:
    """Start the worker with one new trade in its queue; return the seconds until there are so many confirmations."""
    before = desk.confirmed()
    desk.publish(1)
    began = time.monotonic()
    desk.start_worker()
    desk.until_confirmed(before + confirmations)
    return time.monotonic() - began


def _fill_all(desk: Desk) -> None:
    """Have the broker fill every open order now; another program that looks at the book makes it do so."""
    with closing(sqlite3.connect(f"file:{desk.book}?mode=rw", uri=True)) as book, book:
        book.execute(
            "INSERT INTO schedule (due_utc_msc, event, order_ticket) SELECT ?, 'fill', ticket FROM orders "
            "WHERE time_done_msc = 0",
            (time.time_ns() // 1_000_000,),
        )
    subprocess.run([sys.executable, "-c", _LOOK], env=desk.environment, check=True)  # noqa: S603 - fixed program
