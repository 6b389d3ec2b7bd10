"""Memory: whether it grows with the trades."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from ops.bench.bench import Bench
from ops.bench.bursts import burst
from ops.bench.desk import Desk, open_desk
from ops.bench.figures import Claim, Plot, Section
from ops.bench.machine import usage

A_FEW = 5.0  # megabytes; by so much memory may have grown at the end
WARM_UP = 40_000  # trades; the simulated broker keeps 16,384 rows of a table, then lets go of them and begins anew
_AT_A_TIME = 4000  # trades between two looks
_REMEMBERING = ("worker", "terminal")
_IN_THE_TABLE = 10  # looks

_NOTES = (
    "looks at resident memory between bursts, when nothing is open; growth is that of the line of least squares",
    f"the first {WARM_UP:,} trades are not counted: until then the simulated broker fills its caches, twice",
    "the terminal's process remembers tickets for two hours, as it has to: 16 bytes for each trade",
)

Curve = Sequence[tuple[int, float]]  # megabytes after so many trades


def measure(bench: Bench) -> Section:
    """Carry out very many trades in a row."""
    with open_desk(bench.services, bench.folder) as desk:
        desk.start_worker()
        memory = _memory(bench, desk)
    claims = [_memory_claimed(kind, memory[kind]) for kind in memory]
    notes = [*(_spread(kind, memory[kind]) for kind in memory), *_NOTES]
    return Section("Memory", [], claims, notes, _rows(memory), [Plot("memory", "trades", "MB", memory)])


def _rows(memory: Mapping[str, Curve]) -> list[dict[str, float]]:
    """Return some of the looks at memory as a table, the last one among them."""
    looks = [{"trades": float(trades)} for trades, _ in next(iter(memory.values()))]
    for kind, curve in memory.items():
        for look, (_, megabytes) in zip(looks, curve, strict=True):
            look[f"memory, {kind} (MB)"] = megabytes
    return looks[:: -max(len(looks) // _IN_THE_TABLE, 1)][::-1]


def _memory(bench: Bench, desk: Desk) -> Mapping[str, Curve]:
    """Carry out very many trades, and look at memory now and then."""
    curves: dict[str, list[tuple[int, float]]] = {kind: [] for kind in _REMEMBERING}
    trades = WARM_UP + bench.sized(200_000, 20_000)
    for done in bench.steps("trades", range(_AT_A_TIME, trades + 1, _AT_A_TIME)):
        burst(bench, desk, _AT_A_TIME)
        rss = usage(bench.services).rss()
        for kind, curve in curves.items():
            curve.append((done, rss[kind] / 1e6))
    return curves


def _memory_claimed(kind: str, curve: Curve) -> Claim:
    """Judge the trend, not two looks: a straight line through all that comes after the warm-up."""
    warm = _warm(curve)
    growth = _line(warm)[0] * (warm[-1][0] - warm[0][0])
    text = f"memory of the {kind}, from trade {warm[0][0]:,} to {warm[-1][0]:,}"
    return Claim(text, f"{growth:+.1f} MB", f"at most {A_FEW:+g} MB", growth <= A_FEW)


def _spread(kind: str, curve: Curve) -> str:
    """Tell how far single looks are from that line: what is less is no growth."""
    warm = _warm(curve)
    slope, start = _line(warm)
    noise = statistics.pstdev(megabytes - (start + slope * trades) for trades, megabytes in warm)
    return f"{kind}: the last look less the first {warm[-1][1] - warm[0][1]:+.1f} MB; around the line +-{noise:.1f} MB"


def _line(curve: Curve) -> tuple[float, float]:
    slope, start = statistics.linear_regression(*zip(*curve, strict=True))
    return slope, start


def _warm(curve: Curve) -> Curve:
    return [(trades, megabytes) for trades, megabytes in curve if trades >= WARM_UP]
