"""
Measure what the worker costs: `make bench`, or `python -m ops.bench [SECTION ...]`.

Real RabbitMQ with quorum queues, real PostgreSQL with fsync on, the real worker
process on the simulated terminal. Everything that is compared is measured in the
same run. A claim that does not hold is shown as such.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pika
import psycopg
from rich.console import Console

from ops.bench.bench import Bench, Options
from ops.bench.figures import Section
from ops.bench.machine import describe
from ops.bench.page import page
from ops.bench.report import WIDTH, Report, show_machine, show_section
from ops.services import ServicesError, start_services

SECTIONS = {
    "throughput": "trades a second, next to the bare loop, FastStream\nand Dramatiq (8 minutes; quick: 1)",
    "latency": "message to order_send, fill to confirmation, and the\nfloor of both (11 minutes; quick: 2)",
    "open-orders": "the cost of 1000 and 5000 concurrent open orders",
    "slow-terminal": "the share of a slow terminal's time that is used",
    "growth": "a trade's cost after 1,000,000 executions",
    "memory": "memory over 200,000 trades",
    "recovery": "the time to recover 0 to 5000 open executions",
}
_FAILURES = (RuntimeError, OSError, psycopg.Error, pika.exceptions.AMQPError)
_NEXT, _INDENT = "\n", "\n" + 17 * " "
_PAGE = Path(".bench") / "report.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print what was found, write the page; 1 when a measurement itself failed."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it ends its workers and services with it
    try:
        report, failed = _measure(options)
    except (ServicesError, *_FAILURES) as failure:
        _say(f"The measurement failed: {failure}")
        return 1
    except KeyboardInterrupt:
        _say("Ended before everything was measured.")
        return 1
    options.html.write_text(page(report))
    if options.json:
        sys.stdout.write(f"{report.as_json()}\n")
    _say(f"The same with pictures: {options.html}")
    return int(failed)


def _measure(options: argparse.Namespace) -> tuple[Report, bool]:
    """Measure one section after the other; one that fails is told, and the others are measured all the same."""
    found: list[Section] = []
    began = datetime.now(UTC).isoformat(timespec="seconds")
    with start_services() as services, tempfile.TemporaryDirectory(prefix="mt5-worker-bench-") as folder:
        if not services.isolates:
            raise RuntimeError("the benchmark needs virtual hosts of its own: RabbitMQ's management plugin makes them.")
        bench = Bench(services, Path(folder), Options(runs=options.runs, quick=options.quick))
        machine = {**describe(services), "began": began, "runs": f"{options.runs}{', quick' * options.quick}"}
        out = Console(width=WIDTH, quiet=options.json)
        show_machine(machine, out)
        for name in options.sections:
            try:
                found.append(_section(name, bench))
                show_section(found[-1], out)
            except _FAILURES as failure:
                _say(f"{name} could not be measured: {failure}")
    return Report(began, machine, found), len(found) < len(options.sections)


def _section(name: str, bench: Bench) -> Section:
    section: Section = import_module(f"ops.bench.{name.replace('-', '_')}").measure(bench)
    return section


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ops.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="sections:\n"
        + "\n".join(f"  {name:<14} {what.replace(_NEXT, _INDENT)}" for name, what in SECTIONS.items())
        + "\n\nexamples:\n  python -m ops.bench --quick\n  python -m ops.bench throughput latency --runs 7\n",
    )
    parser.add_argument("sections", metavar="SECTION", nargs="*", help="what to measure (default: everything)")
    parser.add_argument("--runs", type=_positive, help="runs of everything that is compared (default: 5, quick 2)")
    parser.add_argument("--quick", action="store_true", help="a rough idea in a few minutes instead of an hour")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--html", type=Path, default=_PAGE, help=f"where to write the page (default: {_PAGE})")
    options = parser.parse_args(arguments)
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    try:  # now, not after an hour of measuring
        options.html.parent.mkdir(parents=True, exist_ok=True)
        options.html.touch()
    except OSError as error:
        parser.error(f"{options.html} cannot be written: {error.strerror}")
    options.sections = options.sections or list(SECTIONS)
    options.runs = options.runs or (2 if options.quick else 5)
    return options


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of runs: 1 or more")
    return int(text)


if __name__ == "__main__":
    raise SystemExit(main())
