"""Memory: whether it grows with the trades."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from ops.bench.bench import Bench
from ops.bench.bursts import burst
from ops.bench.desk import Desk, open_desk
from ops.bench.figures import Claim, Plot, Section
from ops.bench.machine import usage

A_FEW = 5.0  # megabytes; by so much memory may differ between the end of the warm-up and the end
WARM_UP = 0.25  # of the trades
_AT_A_TIME = 5000  # trades between two looks
_REMEMBERING = ("worker", "terminal")

Curve = Sequence[tuple[int, float]]  # megabytes after so many trades


def measure(bench: Bench) -> Section:
    """Carry out very many trades in a row."""
    with open_desk(bench.services, bench.folder) as desk:
        desk.start_worker()
        memory = _memory(bench, desk)
    claims = [_memory_claimed(kind, memory[kind]) for kind in memory]
    return Section("Memory", [], claims, (), _rows(memory), [Plot("memory", "trades", "MB", memory)])


def _rows(memory: Mapping[str, Curve]) -> list[dict[str, float]]:
    """Return about ten of the looks at memory as a table."""
    looks = [{"trades": float(trades)} for trades, _ in next(iter(memory.values()))]
    for kind, curve in memory.items():
        for look, (_, megabytes) in zip(looks, curve, strict=True):
            look[f"memory, {kind} (MB)"] = megabytes
    return looks[:: -(-len(looks) // 10)]


def _memory(bench: Bench, desk: Desk) -> Mapping[str, Curve]:
    """Carry out very many trades, and look at memory now and then."""
    curves: dict[str, list[tuple[int, float]]] = {kind: [] for kind in _REMEMBERING}
    rounds = bench.sized(200_000, 20_000) // _AT_A_TIME
    for number in bench.steps("memory", range(1, rounds + 1)):
        burst(bench, desk, _AT_A_TIME)
        rss = usage(bench.services).rss()
        for kind, curve in curves.items():
            curve.append((number * _AT_A_TIME, rss[kind] / 1e6))
    return curves


def _memory_claimed(kind: str, curve: Curve) -> Claim:
    """Judge the trend, not two looks: a straight line through all that comes after the warm-up."""
    warm = [(trades, megabytes) for trades, megabytes in curve if trades > WARM_UP * curve[-1][0]]
    slope, _ = statistics.linear_regression(*zip(*warm, strict=True))
    trend = slope * (warm[-1][0] - warm[0][0])
    text = f"memory of the {kind}, from trade {warm[0][0]:,} to {warm[-1][0]:,}"
    return Claim(text, f"{trend:+.1f} MB", f"at most {A_FEW:+g} MB", trend <= A_FEW)
