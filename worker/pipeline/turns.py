"""Turns: trades of one symbol are sent in the order of their arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """A queue per symbol. A place in it is taken at arrival, before anything is awaited."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[asyncio.Event]] = {}

    def join(self, symbol: str) -> Turn:
        """Take the next place in the symbol's queue."""
        queue = self._queues.setdefault(symbol, deque())
        place = asyncio.Event()
        queue.append(place)
        if len(queue) == 1:
            place.set()
        return Turn(self, symbol, place)

    def leave(self, symbol: str, place: asyncio.Event) -> None:
        """Give a place up, at its turn or before; the next one may go."""
        queue = self._queues[symbol]
        queue.remove(place)
        if queue:
            queue[0].set()
        else:
            del self._queues[symbol]


class Turn:
    """One place in a symbol's queue."""

    def __init__(self, turns: Turns, symbol: str, place: asyncio.Event) -> None:
        self._turns, self._symbol, self._place = turns, symbol, place

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for the turn, and hand it on at the end, whatever happens."""
        try:
            await self._place.wait()
            yield
        finally:
            self._turns.leave(self._symbol, self._place)
