"""Growth: whether a trade costs more when the ledger is full, and whether memory grows with the trades."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ops.bench.bench import Bench
from ops.bench.desk import Desk, open_desk
from ops.bench.figures import Claim, Figure, Plot, Section, at_least, at_most
from ops.bench.filling import SPREAD, fill
from ops.bench.machine import usage

NO_MORE, NO_LESS = 1.1, 0.9  # of what a trade costs, and how many a second there are, while the ledger is empty
A_FEW = 5.0  # megabytes; by so much memory may differ between the end of the warm-up and the end
WARM_UP = 0.25  # of the trades
_ORIGINALS = 1000  # trades that those of the full ledger are copies of
_AT_A_TIME = 5000  # trades between two looks at memory
_CHARGED = ("worker", "terminal", "PostgreSQL")
_REMEMBERING = ("worker", "terminal")
_EMPTY, _FULL = "empty ledger", "full ledger"

_NOTES = (
    "trades of the two ledgers take turns: two workers beside one RabbitMQ and one PostgreSQL",
    f"the full ledger holds copies of {_ORIGINALS} real trades over {SPREAD.days} days, all their rows, a whole chain",
    "it lacks the dead rows that a month of work leaves, and the broker's book does not hold the copies",
)

Curve = Sequence[tuple[int, float]]  # megabytes after so many trades


@dataclass(frozen=True)
class Burst:
    """What trades cost that came all at once: trades a second, and milliseconds of CPU for each by kind of process."""

    rate: float
    by_kind: Mapping[str, float]

    @property
    def cpu(self) -> float:
        """Milliseconds of CPU for each trade."""
        return sum(self.by_kind.values())


def measure(bench: Bench) -> Section:
    """Carry out trades on an empty and on a full ledger in turns, then very many in a row."""
    with open_desk(bench.services, bench.folder) as empty:
        with open_desk(bench.services, bench.folder) as full:
            executions = _grow(bench, full)
            bursts = _in_turns(bench, {_EMPTY: empty, _FULL: full})
        memory = _memory(bench, empty)
    figures = [
        *(Figure(f"CPU a trade, {name}", "ms", [burst.cpu for burst in bursts[name]]) for name in bursts),
        *(
            Figure(f"of that {kind}, {name}", "ms", [burst.by_kind[kind] for burst in bursts[name]])
            for kind in _CHARGED
            for name in bursts
        ),
        *(Figure(f"throughput, {name}", "1/s", [burst.rate for burst in bursts[name]]) for name in bursts),
    ]
    claims = [*_costs_claimed(bursts, executions), *(_memory_claimed(kind, memory[kind]) for kind in memory)]
    return Section("Growth", figures, claims, _NOTES, _rows(memory), [Plot("memory", "trades", "MB", memory)])


def _rows(memory: Mapping[str, Curve]) -> list[dict[str, float]]:
    """Return about ten of the looks at memory as a table."""
    looks = [{"trades": float(trades)} for trades, _ in next(iter(memory.values()))]
    for kind, curve in memory.items():
        for look, (_, megabytes) in zip(looks, curve, strict=True):
            look[f"memory, {kind} (MB)"] = megabytes
    return looks[:: -(-len(looks) // 10)]


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
        _burst(bench, desk, _ORIGINALS)  # warm
    for turn in bench.steps("in turns", range(bench.options.runs)):
        for name in sorted(desks, reverse=bool(turn % 2)):  # neither is always the first
            bursts[name].append(_burst(bench, desks[name], bench.sized(3000, 1000)))
    return bursts


def _burst(bench: Bench, desk: Desk, trades: int) -> Burst:
    confirmed, before, began = desk.confirmed(), usage(bench.services), time.monotonic()
    desk.publish(trades)
    desk.until_confirmed(confirmed + trades)
    seconds, cpu = time.monotonic() - began, usage(bench.services).cpu_since(before)
    desk.forget_confirmations()
    return Burst(trades / seconds, {kind: 1000 * cpu[kind] / trades for kind in _CHARGED})


def _memory(bench: Bench, desk: Desk) -> Mapping[str, Curve]:
    """Carry out very many trades, and look at memory now and then."""
    curves: dict[str, list[tuple[int, float]]] = {kind: [] for kind in _REMEMBERING}
    rounds = bench.sized(200_000, 20_000) // _AT_A_TIME
    for number in bench.steps("memory", range(1, rounds + 1)):
        _burst(bench, desk, _AT_A_TIME)
        rss = usage(bench.services).rss()
        for kind, curve in curves.items():
            curve.append((number * _AT_A_TIME, rss[kind] / 1e6))
    return curves


def _costs_claimed(bursts: Mapping[str, Sequence[Burst]], executions: int) -> list[Claim]:
    cpu, rate = (
        statistics.median(getattr(burst, what) for burst in bursts[_FULL])
        / statistics.median(getattr(burst, what) for burst in bursts[_EMPTY])
        for what in ("cpu", "rate")
    )
    return [
        at_most(f"CPU a trade after {executions:,} executions, against none", cpu, NO_MORE),
        at_least(f"throughput after {executions:,} executions, against none", rate, NO_LESS),
    ]


def _memory_claimed(kind: str, curve: Curve) -> Claim:
    """Judge the trend, not two looks: a straight line through all that comes after the warm-up."""
    warm = [(trades, megabytes) for trades, megabytes in curve if trades > WARM_UP * curve[-1][0]]
    slope, _ = statistics.linear_regression(*zip(*warm, strict=True))
    trend = slope * (warm[-1][0] - warm[0][0])
    text = f"memory of the {kind}, from trade {warm[0][0]:,} to {warm[-1][0]:,}"
    return Claim(text, f"{trend:+.1f} MB", f"at most {A_FEW:+g} MB", trend <= A_FEW)
