"""Orders that stay open for long: what it costs to watch thousands of them, and whether a fill is told as soon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ops.bench.approvals import SYMBOLS
from ops.bench.bench import Bench
from ops.bench.desk import Desk, open_desk
from ops.bench.figures import Claim, Figure, Section, at_most, quantile
from ops.bench.machine import usage
from ops.bench.metrics import TerminalCalls, terminal_calls
from ops.bench.records import confirmation_delays, now, until_accepted
from ops.services.places import free_port

COUNTS = (0, 1000, 5000)
A_QUARTER = 0.25  # of a core
AS_MANY = 1.05  # calls a poll; a look at the broker's history more or less does not count
OPEN_SETTINGS = {
    "ORDER_TIMEOUT_SECONDS": "86400",
    "MAX_IN_FLIGHT": str(4 * COUNTS[-1]),
    "DRAIN_TIMEOUT_SECONDS": "0",  # the worker need not wait for them at its end
}
NEVER_FILLED = tuple(f"{symbol}.pending" for symbol in SYMBOLS)
_FILLED_MEANWHILE = (*SYMBOLS, *(f"{symbol}.slow" for symbol in SYMBOLS))  # at once, and after two seconds
_SETTLING_SECONDS = 3.0  # from the last order's acceptance to the look at what watching all of them costs
_FILLS_A_SECOND = 10

_NOTES = (
    "a call is a command to the terminal's process; a poll is one that looks at all orders",
    "CPU and calls while nothing happens; fills while ten others a second are traded, half of them filled after 2 s",
    "a fill's time is the broker's; a confirmation's is when RabbitMQ had confirmed it",
)


@dataclass(frozen=True)
class Watch:
    """What it took to watch so many orders for some seconds, and how late the fills of others were told (seconds)."""

    seconds: float
    calls: TerminalCalls
    cpu: Mapping[str, float]
    rss: Mapping[str, int]
    delays: list[float]

    @property
    def calls_a_poll(self) -> float:
        """Calls of all kinds for each look at the orders."""
        return self.calls.total / self.calls.polls

    @property
    def share(self) -> float:
        """The share of a core that the worker and its terminal's process took together."""
        return (self.cpu["worker"] + self.cpu["terminal"]) / self.seconds


_FIGURES: Mapping[str, tuple[str, Callable[[Watch], float]]] = {
    "terminal calls": ("1/s", lambda watch: watch.calls.total / watch.seconds),
    "terminal calls a poll": ("", lambda watch: watch.calls_a_poll),
    "CPU, worker": ("core", lambda watch: watch.cpu["worker"] / watch.seconds),
    "CPU, terminal": ("core", lambda watch: watch.cpu["terminal"] / watch.seconds),
    "CPU, both": ("core", lambda watch: watch.share),
    "memory, worker": ("MB", lambda watch: watch.rss["worker"] / 1e6),
    "memory, terminal": ("MB", lambda watch: watch.rss["terminal"] / 1e6),
    "fill to confirmation, p50": ("ms", lambda watch: 1000 * quantile(watch.delays, 0.5)),
    "fill to confirmation, p99": ("ms", lambda watch: 1000 * quantile(watch.delays, 0.99)),
}


def measure(bench: Bench) -> Section:
    """Watch no order, 1000 and 5000, and have others filled meanwhile."""
    watched = {count: list(_watches(bench, count)) for count in bench.steps("open orders", COUNTS)}
    figures = {
        (count, name): Figure(f"{count} open: {name}", unit, [of(watch) for watch in watches])
        for count, watches in watched.items()
        for name, (unit, of) in _FIGURES.items()
    }
    return Section("Open orders", list(figures.values()), _claims(figures), _NOTES)


def _claims(figures: Mapping[tuple[int, str], Figure]) -> list[Claim]:
    without = figures[0, "terminal calls a poll"].median
    most = COUNTS[-1]
    return [
        *(
            at_most(
                f"calls a poll, {count} orders against none",
                figures[count, "terminal calls a poll"].median / without,
                AS_MANY,
            )
            for count in COUNTS[1:]
        ),
        at_most(f"CPU of worker and terminal, {most} open orders (core)", figures[most, "CPU, both"].median, A_QUARTER),
    ]


def _watches(bench: Bench, count: int) -> Iterator[Watch]:
    port = free_port()
    settings = OPEN_SETTINGS | {"HTTP_PORT": str(port)}
    with open_desk(bench.services, bench.folder, settings=settings) as desk:
        desk.start_worker()
        desk.until_consuming()
        desk.publish(count, symbols=NEVER_FILLED)
        until_accepted(desk, count)
        time.sleep(_SETTLING_SECONDS)
        for _ in range(bench.options.runs):
            yield _watch(bench, desk, port)


def _watch(bench: Bench, desk: Desk, port: int) -> Watch:
    before, calls, began = usage(bench.services), terminal_calls(port), time.monotonic()
    time.sleep(bench.sized(20, 5))
    seconds, called, after = time.monotonic() - began, terminal_calls(port).since(calls), usage(bench.services)
    return Watch(seconds, called, after.cpu_since(before), after.rss(), _fills(desk, bench.sized(10, 4)))


def _fills(desk: Desk, seconds: int) -> list[float]:
    """Have some orders filled for so many seconds; return how late that was told."""
    before, began = desk.confirmed(), now(desk)
    for _ in range(seconds):
        due = time.monotonic() + 1
        desk.publish(_FILLS_A_SECOND, symbols=_FILLED_MEANWHILE)
        time.sleep(max(0.0, due - time.monotonic()))
    desk.until_confirmed(before + seconds * _FILLS_A_SECOND)
    time.sleep(1)  # the ledger is told a moment later that RabbitMQ has them
    return confirmation_delays(desk, _FILLED_MEANWHILE, began)
