"""An order is called vanished only when somebody has looked for it after the horizon, and in vain."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.unit.domain.stories import NOW, an_execution
from worker.domain.execution import Execution, State
from worker.domain.market import Poll, PollRequest
from worker.pipeline.monitor import Monitor
from worker.pipeline.watch import Watch
from worker.ports import Change, Watermark
from worker.settings import Settings

HORIZON = 15.0


class Clock:
    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed


class Books:
    """Takes every change; nothing was compared before."""

    watermark = Watermark()
    namespaces: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self.changes: list[Change] = []

    async def record(self, change: Change) -> Execution:
        self.changes.append(change)
        return change.after

    def compared(self, watermark: Watermark) -> None:
        self.watermark = watermark


class EmptyTerminal:
    """Answers every poll: there is nothing. `polled` is set once it was asked."""

    def __init__(self) -> None:
        self.polled = asyncio.Event()

    async def poll(self, _request: PollRequest) -> Poll:
        self.polled.set()
        return Poll(health=None, readable=True, newest_deal=70)


def _cancelling(clock: Clock, *, seconds_ago: float) -> Execution:
    """Return an execution whose cancel was asked for so long ago, by a worker that is no more."""
    asked = clock.now() - timedelta(seconds=seconds_ago)
    return replace(
        an_execution(state=State.CANCELLING, attempts=1, sends=1),
        order_ticket=700,
        accepted_at=asked,
        cancelled_at=asked,
        cancel_asked_at=clock.now(),
    )


def _monitor(clock: Clock, books: Books, terminal: EmptyTerminal) -> tuple[Monitor, Watch]:
    nothing: Any = None
    parts: dict[str, Any] = {"ledger": books, "terminal": terminal, "clock": clock}
    watch = Watch(**parts, interval=60.0, late=nothing)
    return Monitor(**parts, settings=Settings(unknown_horizon_seconds=HORIZON), settler=nothing, watch=watch), watch


async def test_a_cancelled_order_is_not_given_up_before_anybody_has_looked_for_it() -> None:
    # Given an order whose cancel is older than the horizon, and a worker that has seen nothing yet
    clock, books = Clock(), Books()
    monitor, _ = _monitor(clock, books, EmptyTerminal())

    # When that worker takes it over
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(monitor.follow(_cancelling(clock, seconds_ago=2 * HORIZON)), 0.1)

    # Then it says nothing of it
    assert books.changes == []


async def test_a_cancelled_order_that_a_look_after_the_horizon_does_not_show_is_searched_for() -> None:
    clock, books, terminal = Clock(), Books(), EmptyTerminal()
    monitor, watch = _monitor(clock, books, terminal)
    looking = asyncio.create_task(watch.run())
    await terminal.polled.wait()
    await asyncio.sleep(0)

    lost = await monitor.follow(_cancelling(clock, seconds_ago=2 * HORIZON))

    assert lost.state is State.UNKNOWN
    looking.cancel()
