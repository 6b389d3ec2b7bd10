"""
Measure throughput and latency of one worker: `python -m ops.bench` (or `make bench`).

A burst of trades gives trades per second from the first publish to the last confirmation; a steady trickle gives the
time from publish to confirmation of trades that do not wait for one another. Medians and ranges of several runs.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ops.bench.rig import Rig, running_worker
from ops.services import start_services


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its figures."""
    options = _options(arguments)
    _say(f"{platform.platform()}, Python {platform.python_version()}")
    _say(f"{os.cpu_count()} processors, shared with RabbitMQ and PostgreSQL")
    with start_services() as services, tempfile.TemporaryDirectory(prefix="mt5-worker-bench-") as folder:
        amqp, postgres = services.new_vhost("bench"), services.new_database("bench")
        with running_worker(amqp, postgres, Path(folder)) as rig:
            rig.burst(50)  # warm: connections, prepared statements, the server's clock
            _throughput(rig, options)
            _latency(rig, options)
    return 0


def _throughput(rig: Rig, options: argparse.Namespace) -> None:
    rates = [options.trades / rig.burst(options.trades) for _ in range(options.runs)]
    _say(
        f"burst of {options.trades} trades, {options.runs} runs: median {statistics.median(rates):.0f} trades/s "
        f"({min(rates):.0f} to {max(rates):.0f})"
    )


def _latency(rig: Rig, options: argparse.Namespace) -> None:
    for rate in options.rates:
        times = sorted(rig.trickle(rate, options.seconds))
        _say(
            f"{rate} trades/s for {options.seconds} s, publish to confirmation: "
            f"p50 {1000 * _quantile(times, 0.5):.1f} ms, p99 {1000 * _quantile(times, 0.99):.1f} ms, "
            f"slowest {1000 * times[-1]:.1f} ms"
        )


def _quantile(times: Sequence[float], share: float) -> float:
    return times[min(int(len(times) * share), len(times) - 1)]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description=__doc__)
    parser.add_argument("--trades", type=int, default=1000, help="trades in a burst")
    parser.add_argument("--runs", type=int, default=3, help="bursts")
    parser.add_argument("--rates", type=int, nargs="+", default=[1, 10, 50], help="trades per second of the trickles")
    parser.add_argument("--seconds", type=int, default=10, help="duration of each trickle")
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a benchmark's output


if __name__ == "__main__":
    raise SystemExit(main())
