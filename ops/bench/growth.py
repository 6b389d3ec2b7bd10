"""Growth: whether a trade costs more when the ledger is full."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import partial

from ops.bench.bench import Bench
from ops.bench.bursts import CHARGED, Burst, burst
from ops.bench.desk import Desk, open_desk
from ops.bench.figures import Claim, Figure, Section, at_least, at_most
from ops.bench.filling import SPREAD, fill

NO_MORE, NO_LESS = 1.1, 0.9  # of what a trade costs, and how many a second there are, while the ledger is empty
_ORIGINALS = 1000  # trades that those of the full ledger are copies of
_EMPTY, _FULL = "empty ledger", "full ledger"

_NOTES = (
    "trades of the two ledgers take turns: two workers beside one RabbitMQ and one PostgreSQL",
    f"the full ledger holds copies of {_ORIGINALS} real trades over {SPREAD.days} days, all their rows, a whole chain",
    "it lacks the dead rows that a month of work leaves, and the broker's book does not hold the copies",
)


def measure(bench: Bench) -> Section:
    """Carry out trades on an empty and on a full ledger in turns."""
    with open_desk(bench.services, bench.folder) as empty, open_desk(bench.services, bench.folder) as full:
        executions = _grow(bench, full)
        bursts = _in_turns(bench, {_EMPTY: empty, _FULL: full})
    figures = [
        *(Figure(f"CPU a trade, {name}", "ms", [one.cpu for one in bursts[name]]) for name in bursts),
        *(
            Figure(f"of that {kind}, {name}", "ms", [one.by_kind[kind] for one in bursts[name]])
            for kind in CHARGED
            for name in bursts
        ),
        *(Figure(f"throughput, {name}", "1/s", [one.rate for one in bursts[name]]) for name in bursts),
    ]
    return Section("Growth", figures, _costs_claimed(bursts, executions), _NOTES)


def _grow(bench: Bench, desk: Desk) -> int:
    """Let the worker carry out some trades, and fill its ledger with copies of them while it is away."""
    desk.start_worker()
    desk.publish(_ORIGINALS)
    desk.until_confirmed(_ORIGINALS)
    desk.stop_worker()
    return fill(desk.database_url, bench.sized(1_000_000, 20_000), partial(bench.steps, "filling a ledger"))


def _in_turns(bench: Bench, desks: Mapping[str, Desk]) -> Mapping[str, Sequence[Burst]]:
    bursts: dict[str, list[Burst]] = {name: [] for name in desks}
    for desk in desks.values():
        desk.start_worker()
        burst(bench, desk, _ORIGINALS)  # warm
    for turn in bench.steps("in turns", range(bench.options.runs)):
        for name in sorted(desks, reverse=bool(turn % 2)):  # neither is always the first
            bursts[name].append(burst(bench, desks[name], bench.sized(3000, 1000)))
    return bursts


def _costs_claimed(bursts: Mapping[str, Sequence[Burst]], executions: int) -> list[Claim]:
    cpu, rate = (
        statistics.median(getattr(one, what) for one in bursts[_FULL])
        / statistics.median(getattr(one, what) for one in bursts[_EMPTY])
        for what in ("cpu", "rate")
    )
    return [
        at_most(f"CPU a trade after {executions:,} executions, against none", cpu, NO_MORE),
        at_least(f"throughput after {executions:,} executions, against none", rate, NO_LESS),
    ]
