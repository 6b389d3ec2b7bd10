"""
What one terminal session does in a second, and what a call costs: `python -m tests.bench.session` (or `make bench`).

One simulated session, its own process, asked in turn by one thread, as a lane of the worker asks it. The broker's own
delay is switched off: what is measured is the pipe, both ends of it, and the simulated terminal behind it.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from tests.fixtures.terminal import a_look, a_question, a_search, an_order, set_broker
from worker.domain.market import SendStatus
from worker.mt5.pool import MT5ConnectionPool
from worker.mt5.session import TerminalSession

SYMBOLS = ("EURUSD", "GBPUSD", "AUDUSD", "USDJPY", "EURJPY")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table: calls a second, and the milliseconds of one."""
    options = _options(arguments)
    _say(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory(prefix="mt5-worker-bench-") as folder:
        book = Path(folder) / "book.sqlite"
        with MT5ConnectionPool({"main": {"backend": "simulated", "book": book}}, symbols=SYMBOLS) as pool:
            session = pool.session(30)
            set_broker(book, latency_ms=0)
            _say(f"{'call':<12}{'a second':>10}{'median ms':>12}{'p99 ms':>10}{'slowest ms':>12}")
            for name, call in _calls(session).items():
                _measure(call, options.seconds / 10)  # caches, the server's clock
                _report(name, _measure(call, options.seconds))
                if name == "ten sends":
                    _say("(the last two look at all orders that were sent)")
    return 0


def _calls(session: TerminalSession) -> dict[str, Callable[[int], object]]:
    def send(number: int) -> None:
        report = session.submit(an_order(SYMBOLS[number % len(SYMBOLS)]))
        if report.status is not SendStatus.ANSWERED:
            raise RuntimeError(f"an order was not sent: {report.detail}")

    def send_ten(number: int) -> None:
        orders = [an_order(SYMBOLS[(number + place) % len(SYMBOLS)]) for place in range(10)]
        for report in chain.from_iterable(session.submit_all(orders)):
            if report.status is not SendStatus.ANSWERED:
                raise RuntimeError(f"an order was not sent: {report.detail}")

    ten = [a_question(symbol) for symbol in SYMBOLS * 2]
    return {
        "health": lambda _: session.health(),
        "quote": lambda number: session.quote(a_question(SYMBOLS[number % len(SYMBOLS)])),
        "ten quotes": lambda _: session.quotes(ten),
        "empty poll": lambda _: session.poll(a_look()),
        "send": send,
        "ten sends": send_ten,
        "poll": lambda _: session.poll(a_look()),
        "search": lambda _: session.search(a_search("EURUSD")),
    }


def _measure(call: Callable[[int], object], seconds: float) -> list[float]:
    """Call again and again for so many seconds; return how long each call took."""
    times: list[float] = []
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < seconds:
        call(len(times))
        times.append(time.perf_counter() - now)
    return times


def _report(name: str, times: list[float]) -> None:
    times.sort()
    per_second = len(times) / sum(times)
    median, p99, slowest = statistics.median(times), times[int(0.99 * len(times))], times[-1]
    _say(f"{name:<12}{per_second:>10.0f}{1000 * median:>12.3f}{1000 * p99:>10.3f}{1000 * slowest:>12.1f}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.session", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each kind of call")
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a benchmark's output


if __name__ == "__main__":
    raise SystemExit(main())
