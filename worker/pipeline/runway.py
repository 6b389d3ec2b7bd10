"""The runways: how many first attempts may be written ahead and wait for their send at the same time."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable

from worker.settings import SEND_DEADLINE_SECONDS

SHORTEST, LONGEST = 2, 128
_MEMORY = 0.9  # share of the past in the running average of a send's time


class Runways:
    """
    One runway for each terminal that sends: one that is slow, or hangs, keeps no trade of another one waiting.

    `sender_of` tells by RPM's name of a symbol which terminal sends its orders.
    """

    def __init__(self, sender_of: Callable[[str], str]) -> None:
        self._sender_of = sender_of
        self._runways: defaultdict[str, Runway] = defaultdict(Runway)

    async def enter(self, symbol: str) -> Runway:
        """Wait for a place on the runway of whoever sends the orders of a symbol; `leave` the runway once."""
        runway = self._runways[self._sender_of(symbol)]
        await runway.enter()
        return runway

    def answered(self, symbol: str, written: float, answered: float) -> None:
        """Learn when a send of this symbol was written ahead, and when it was answered (monotonic seconds)."""
        self._runways[self._sender_of(symbol)].answered(written, answered)

    def too_late(self, symbol: str) -> None:
        """Learn that a send of this symbol has waited its deadline out."""
        self._runways[self._sender_of(symbol)].too_late()


class Runway:
    """
    Admits in the order of asking, and only as many as are sent within half a send's deadline.

    Many share a commit when all goes quickly; none waits out its deadline when it does not. What counts is the whole
    time from the write-ahead on, for on a machine that is short of its processors a send waits longer for this process
    than for the terminal.
    """

    def __init__(self) -> None:
        self._on_it = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._send_seconds = SEND_DEADLINE_SECONDS / 2 / 16
        self._last_answer = 0.0  # monotonic seconds

    @property
    def length(self) -> int:
        """Return how many may be on it now."""
        return max(SHORTEST, min(LONGEST, int(SEND_DEADLINE_SECONDS / 2 / self._send_seconds)))

    async def enter(self) -> None:
        """Wait for a place on it."""
        if not self._waiting and self._on_it < self.length:
            self._on_it += 1
            return
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(ticket)
        self._admit()
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self._on_it -= 1
            self._admit()
            raise

    def leave(self) -> None:
        """Give a place up, and let the next one have it."""
        self._on_it -= 1
        self._admit()

    def answered(self, written: float, answered: float) -> None:
        """Learn how long a send has taken, its answer included: it began when the one before it was over."""
        seconds = answered - max(written, self._last_answer)
        self._last_answer = answered
        self._learn(seconds)

    def too_late(self) -> None:
        """Learn that the deadline was too short for all who are on it now."""
        self._learn(SEND_DEADLINE_SECONDS / max(self._on_it, 1))

    def _learn(self, seconds: float) -> None:
        self._send_seconds = max(_MEMORY * self._send_seconds + (1 - _MEMORY) * seconds, 1e-4)

    def _admit(self) -> None:
        while self._waiting and self._on_it < self.length:
            ticket = self._waiting.popleft()
            if not ticket.cancelled():
                self._on_it += 1
                ticket.set_result(None)
