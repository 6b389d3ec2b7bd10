"""
Measure what the worker costs: `make bench`, or `python -m ops.bench [SECTION ...]`.

Real RabbitMQ with quorum queues, real PostgreSQL with fsync on, the real worker process on the simulated terminal.
Everything that is compared is measured in the same run. A claim that does not hold is shown as such.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from rich.console import Console

from ops.bench.bench import Bench, Options
from ops.bench.figures import Section
from ops.bench.machine import describe
from ops.bench.page import page
from ops.bench.report import WIDTH, Report, show
from ops.services import ServicesError, start_services

SECTIONS = {
    "throughput": "trades a second against the bare loop, FastStream and Dramatiq (8 minutes, quick 1)",
    "latency": "message to order_send, fill to confirmation, against the floor (6 minutes, quick 1)",
    "open-orders": "1000 and 5000 concurrent open orders",
    "slow-terminal": "the share of a slow terminal's time that is used, by one and four sessions",
    "growth": "the cost of a trade after 1,000,000 executions, memory over 200,000 trades",
    "recovery": "the time to recover 0 to 5000 open executions",
}
_PAGE = Path(".bench") / "report.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print what was found, write the page; 1 when the measurement itself failed."""
    options = _options(arguments)
    try:
        report = _measure(options.sections or list(SECTIONS), Options(runs=options.runs, quick=options.quick))
    except (ServicesError, RuntimeError) as failure:
        sys.stderr.write(f"The measurement failed: {failure}\n")
        return 1
    options.html.parent.mkdir(parents=True, exist_ok=True)
    options.html.write_text(page(report))
    if options.json:
        sys.stdout.write(f"{report.as_json()}\n")
    else:
        show(report, Console(width=WIDTH))
    sys.stderr.write(f"The same with pictures: {options.html}\n")
    return 0


def _measure(names: Sequence[str], options: Options) -> Report:
    began = datetime.now(UTC).isoformat(timespec="seconds")
    with start_services() as services, tempfile.TemporaryDirectory(prefix="mt5-worker-bench-") as folder:
        if not services.isolates:
            raise RuntimeError("the benchmark needs virtual hosts of its own: RabbitMQ's management plugin makes them.")
        bench = Bench(services, Path(folder), options)
        return Report(began, describe(services), [_section(name, bench) for name in names])


def _section(name: str, bench: Bench) -> Section:
    module = import_module(f"ops.bench.{name.replace('-', '_')}")
    section: Section = module.measure(bench)
    return section


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m ops.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="sections:\n"
        + "\n".join(f"  {name:<14} {what}" for name, what in SECTIONS.items())
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
    options.runs = options.runs or (2 if options.quick else 5)
    return options


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    raise SystemExit(main())
