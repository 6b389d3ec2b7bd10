"""
One of several terminals hangs: neither the loop that keeps heartbeats nor another session's orders notice.

The same load runs twice, before the hang and during it; the figures of both are printed (shown with -rP).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fixtures.terminal import a_look, a_question, an_order
from worker.domain.errors import TerminalUnavailable
from worker.domain.market import SendStatus
from worker.mt5.lane import STUCK_SECONDS
from worker.mt5.pool import MT5ConnectionPool
from worker.mt5.terminal import PooledTerminal

BEAT = 0.01  # seconds between two beats of the loop, far below RabbitMQ's heartbeats of some seconds
LATE = 0.5  # seconds; a beat or an order that is later has waited for something
CALL_LIMIT = 4.0


@dataclass
class Figures:
    """What was measured in one phase, in seconds."""

    beats: list[float] = field(default_factory=list)  # by how much each was late
    orders: list[float] = field(default_factory=list)
    quotes: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return "; ".join(
            f"{name}: {len(times)}, median {1000 * statistics.median(times):.2f} ms, slowest {1000 * max(times):.1f} ms"
            for name, times in (("beats", self.beats), ("orders", self.orders), ("quotes", self.quotes))
        )


@asynccontextmanager
async def sessions(book: Path, *names: str) -> AsyncIterator[PooledTerminal]:
    one = {"backend": "simulated", "book": book, "timeout": CALL_LIMIT}
    terminal = PooledTerminal(MT5ConnectionPool(dict.fromkeys(names, one), symbols=["EURUSD"]))
    try:
        await terminal.start(patience=30)
        yield terminal
    finally:
        await terminal.close()


async def beating(figures: Figures) -> None:
    while True:
        due = time.monotonic() + BEAT
        await asyncio.sleep(BEAT)
        figures.beats.append(time.monotonic() - due)


async def polling(terminal: PooledTerminal) -> None:
    while True:
        with contextlib.suppress(TerminalUnavailable):
            await terminal.poll(a_look())
        await asyncio.sleep(0.05)


async def trading(terminal: PooledTerminal, symbols: Sequence[str], seconds: float) -> Figures:
    """Quote, send and poll as the worker does, for some seconds."""
    figures, began = Figures(), time.monotonic()
    aside = [asyncio.create_task(beating(figures)), asyncio.create_task(polling(terminal))]
    while (now := time.monotonic()) - began < seconds:
        symbol = symbols[len(figures.orders) % len(symbols)]
        await terminal.quote(a_question(symbol))
        quoted = time.monotonic()
        report = await terminal.submit(an_order(symbol))
        figures.quotes.append(quoted - now)
        figures.orders.append(time.monotonic() - quoted)
        assert report.status is SendStatus.ANSWERED
        await asyncio.sleep(0.02)
    for task in aside:
        task.cancel()
    return figures


def told_apart(terminal: PooledTerminal) -> tuple[str, list[str]]:
    """Return a symbol that hangs, and symbols of another session."""
    hanging = "EURUSD.hang"
    names = ["EURUSD", "GBPUSD", "USDJPY", "AUDUSD", "EURJPY", "XAUUSD"]
    others = [name for name in names if terminal.sender_of(name) != terminal.sender_of(hanging)]
    assert others
    return hanging, others


@pytest.mark.parametrize("seconds", [1.0, pytest.param(3.5, marks=pytest.mark.chaos)])
async def test_a_hanging_terminal_delays_neither_the_loop_nor_another_session_s_orders(
    book_file: Path, seconds: float
) -> None:
    async with sessions(book_file, "asks", "one", "two") as terminal:
        hanging, others = told_apart(terminal)
        await trading(terminal, others, 0.2)
        without = await trading(terminal, others, seconds)

        # When one terminal does not return from a send
        hung = asyncio.create_task(terminal.submit(an_order(hanging)))
        await asyncio.sleep(0.05)
        during = await trading(terminal, others, seconds)

        # Then all went on as before while it hung, and it is ended at its time limit alone
        print(f"without a hang: {without}\nwith a hang:    {during}")  # noqa: T201 - the figures
        assert not hung.done()
        assert max(during.beats) < LATE
        assert max(during.orders) < LATE
        assert max(during.quotes) < LATE
        if seconds > 1:
            assert (await hung).status is SendStatus.NO_ANSWER
        hung.cancel()


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a POSIX signal")
async def test_while_the_terminal_that_answers_is_frozen_another_one_answers(book_file: Path) -> None:
    async with sessions(book_file, "asks", "one", "two") as terminal:
        symbols = ["EURUSD", "GBPUSD", "USDJPY"]
        await trading(terminal, symbols, 0.2)
        before = await trading(terminal, symbols, 1)

        # When the one that answers every question does not answer any more
        os.kill(int(terminal.report()["asks"]["pid"]), signal.SIGSTOP)
        first = await trading(terminal, symbols, 0.1)
        then = await trading(terminal, symbols, 1)

        # Then only what was put to it waits, for as long as it takes to see that; and nothing that is sent
        print(f"before: {before}\nfirst:  {first}\nthen:   {then}")  # noqa: T201 - the figures
        assert max(first.quotes) < 2 * STUCK_SECONDS + LATE
        assert max(then.quotes) < LATE
        assert max(first.orders + then.orders) < LATE
        assert max(first.beats + then.beats) < LATE
