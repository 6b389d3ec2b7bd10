"""Trades that come all at once, and what each of them costs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from ops.bench.bench import Bench
from ops.bench.desk import Desk
from ops.bench.machine import usage

CHARGED = ("worker", "terminal", "PostgreSQL")


@dataclass(frozen=True)
class Burst:
    """What trades cost that came all at once: trades a second, and milliseconds of CPU for each by kind of process."""

    rate: float
    by_kind: Mapping[str, float]

    @property
    def cpu(self) -> float:
        """Milliseconds of CPU for each trade."""
        return sum(self.by_kind.values())


def burst(bench: Bench, desk: Desk, trades: int) -> Burst:
    """Publish so many trades, and wait until the last is confirmed."""
    confirmed, before, began = desk.confirmed(), usage(bench.services), time.monotonic()
    desk.publish(trades)
    desk.until_confirmed(confirmed + trades)
    seconds, cpu = time.monotonic() - began, usage(bench.services).cpu_since(before)
    desk.forget_confirmations()
    return Burst(trades / seconds, {kind: 1000 * cpu[kind] / trades for kind in CHARGED})
