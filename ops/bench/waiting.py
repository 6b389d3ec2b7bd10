"""Things that wait to be taken all together: what queued up during a commit shares the next one."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Waiting(Generic[_T]):
    """Whoever takes, takes all."""

    def __init__(self) -> None:
        self._things: list[_T] = []
        self._some = asyncio.Event()

    def put(self, thing: _T) -> None:
        """Add one."""
        self._things.append(thing)
        self._some.set()

    async def take(self) -> list[_T]:
        """Wait until there is one, then take all."""
        await self._some.wait()
        self._some.clear()
        taken, self._things = self._things, []
        return taken
