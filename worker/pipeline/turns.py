"""Turns: trades of one symbol are sent in the order of their arrival."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """A queue per symbol. A place in it is taken at arrival, before anything is awaited."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Place]] = {}

    def join(self, symbol: str) -> Place:
        """Take the last place in the symbol's queue."""
        place = Place(self, symbol)
        self.append(symbol, place)
        return place

    def append(self, symbol: str, place: Place) -> None:
        """Put a place at the end of the symbol's queue."""
        queue = self._queues.setdefault(symbol, deque())
        queue.append(place)
        if len(queue) == 1:
            place.come_first()

    def front(self, symbol: str) -> Place:
        """Return the place whose turn it is; the queue must not be empty."""
        return self._queues[symbol][0]

    def remove(self, symbol: str, place: Place) -> None:
        """Give a place up; the next one may come first by that."""
        queue = self._queues[symbol]
        queue.remove(place)
        if queue:
            queue[0].come_first()
        else:
            del self._queues[symbol]


class Place:
    """One trade's place in its symbol's queue, held until `leave`."""

    def __init__(self, turns: Turns, symbol: str) -> None:
        self._turns, self._symbol = turns, symbol
        self._is_first = asyncio.Event()
        self._has_left = False
        self.gone = asyncio.Event()
        self.is_slow = False  # the holder tries again, and may take its time

    def rejoin(self) -> None:
        """Take the last place anew after having left; harmless for one who has not."""
        if self._has_left:
            self._is_first, self.gone = asyncio.Event(), asyncio.Event()
            self._has_left = self.is_slow = False
            self._turns.append(self._symbol, self)

    async def first(self) -> None:
        """Wait until everyone who came before has left."""
        await self._is_first.wait()

    async def near(self) -> None:
        """Wait until the trade at the front is not a slow one: only then is it worth while to be written ahead."""
        while (front := self._turns.front(self._symbol)) is not self and front.is_slow:
            await front.gone.wait()

    def come_first(self) -> None:
        """Let the holder go."""
        self._is_first.set()

    def leave(self) -> None:
        """Hand the turn on, at the front or before; doing it twice is harmless."""
        if not self._has_left:
            self._has_left = True
            self.gone.set()
            self._turns.remove(self._symbol, self)
