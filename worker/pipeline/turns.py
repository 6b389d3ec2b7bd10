"""Turns: trades of one symbol are sent in the order of their arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import takewhile

from worker.pipeline.runway import Runway


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

    def queue(self, symbol: str) -> Sequence[Place]:
        """Return the symbol's places, the one whose turn it is first; the queue must not be empty."""
        return self._queues[symbol]

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
        self.is_quick = _set_event()  # cleared while the holder tries again, and may take its time
        self.is_driven = False  # a coroutine carries the trade out, and leaves for it
        self.runway: Runway | None = None  # that the holder is on: it is being sent, or is about to be
        self.is_late = False  # the holder tries again because it has waited its deadline out

    def rejoin(self) -> None:
        """Take the last place anew after having left; harmless for one who has not."""
        if self._has_left:
            self._is_first, self.is_quick = asyncio.Event(), _set_event()
            self._has_left = False
            self._turns.append(self._symbol, self)

    async def first(self, within: float | None = None) -> bool:
        """Wait until everyone who came before has left; False when that took longer than so many seconds."""
        if not self._is_first.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._is_first.wait()
        return self._is_first.is_set()

    def slow_down(self, *, is_late: bool) -> None:
        """Tell those behind that the holder tries again, and may take its time; `is_late`: it lacked time alone."""
        self.is_late = is_late
        self.is_quick.clear()

    def speed_up(self) -> None:
        """Tell them that they need not wait for that any more."""
        self.is_quick.set()

    @property
    def may_follow(self) -> bool:
        """Tell whether all before are quick and hold what they need to be sent: none of them can be waited for long."""
        return all(place.runway is not None and place.is_quick.is_set() for place in self._before())

    @property
    def is_near(self) -> bool:
        """Tell whether none of those before is a slow one: only then is it worth while to be written ahead."""
        return self._slow_one() is None

    async def near(self) -> None:
        """
        Wait until none of those before is a slow one.

        Looking at the front alone would let go whoever waits at each change of the front from one slow trade to the
        next: all of them would miss their deadlines, and be slow in their turn.
        """
        while (slow := self._slow_one()) is not None:
            await slow.is_quick.wait()

    def _slow_one(self) -> Place | None:
        return next((place for place in self._before() if not place.is_quick.is_set()), None)

    def _before(self) -> Iterator[Place]:
        return takewhile(lambda place: place is not self, self._turns.queue(self._symbol))

    def come_first(self) -> None:
        """Let the holder go."""
        self._is_first.set()

    def leave(self) -> None:
        """Hand the turn on, at the front or before, and the runway; doing it twice is harmless."""
        self.leave_runway()
        if not self._has_left:
            self._has_left = True
            self.is_quick.set()
            self._turns.remove(self._symbol, self)

    def leave_runway(self) -> None:
        """Give the place on the runway up; doing it twice is harmless."""
        if self.runway is not None:
            self.runway.leave()
            self.runway = None


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
