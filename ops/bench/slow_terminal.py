"""Slow terminals: how much of their time is used while trades wait for them."""

from __future__ import annotations

from collections.abc import Iterator

from ops.bench.bench import Bench
from ops.bench.desk import Desk, open_desk
from ops.bench.figures import Figure, Section, at_least
from ops.bench.records import Sending, now, sendings

LATENCIES = (20, 200)  # milliseconds that a send takes
TERMINALS = (1, 4)
WANTED = 0.9  # of a terminal's time
# A terminal has its share of the symbols by their names: here each of four has three. All of them are filled at once.
_SYMBOLS = (
    *("USDJPY", "GBPUSD", "AUDUSD", "EURUSD"),
    *("EURJPY", "EURJPY.slip", "EURUSD.slip", "EURUSD.nocomment"),
    *("GBPUSD.slip", "USDJPY.multi", "GBPUSD.multi", "AUDUSD.slip"),
)

_NOTES = (
    "a terminal's time: from its first send to its last answer; trades wait for it all the while",
    "sending: inside of order_send, by the times of each attempt in the ledger",
    "of several terminals one more answers the questions; a single one is asked between its sends",
)


def measure(bench: Bench) -> Section:
    """Let a backlog wait for one terminal and for four, and see when they were sending."""
    figures = []
    for milliseconds, terminals in bench.steps("slow terminal", [(m, n) for m in LATENCIES for n in TERMINALS]):
        name = f"{milliseconds} ms a send, {_counted(terminals)}"
        runs = list(_runs(bench, milliseconds, terminals))
        figures += [
            Figure(f"{name}: time spent sending, the least busy", "share", [min(s.share for s in run) for run in runs]),
            Figure(f"{name}: orders sent", "1/s", [sum(s.orders / s.elapsed for s in run) for run in runs]),
        ]
    claims = [at_least(figure.name, figure.median, WANTED) for figure in figures if figure.unit == "share"]
    return Section(
        "A slow terminal",
        figures,
        claims,
        notes=_NOTES,
    )


def _runs(bench: Bench, milliseconds: int, terminals: int) -> Iterator[list[Sending]]:
    with open_desk(bench.services, bench.folder, sessions=terminals) as desk:
        desk.start_worker()
        desk.until_consuming()
        desk.set_terminal(latency_ms=milliseconds)
        _send(desk, 20 * terminals)  # warm: the worker has learned the terminal's pace, and the server's clock
        backlog = terminals * bench.sized(10_000, 3_000) // milliseconds
        for _ in range(bench.options.runs):
            yield _send(desk, backlog)


def _send(desk: Desk, orders: int) -> list[Sending]:
    before, began = desk.confirmed(), now(desk)
    desk.publish(orders, symbols=_SYMBOLS)
    desk.until_confirmed(before + orders)
    return sendings(desk, began)


def _counted(terminals: int) -> str:
    return "one terminal" if terminals == 1 else f"{terminals} terminals"
