"""How answers come from the terminals' threads to the loop: many at a time, for waking the loop is dear."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")


class Reply(Generic[Answer]):
    """An answer that is awaited on the loop, and brought by a thread."""

    __slots__ = ("_mailbox", "future")

    def __init__(self, mailbox: Mailbox) -> None:
        self.future: asyncio.Future[Answer] = mailbox.loop.create_future()
        self._mailbox = mailbox

    @property
    def is_wanted(self) -> bool:
        """Tell whether somebody still waits for it; any thread may ask."""
        return not self.future.done()

    def bring(self, outcome: Answer | BaseException) -> None:
        """Let whoever waits have the answer, or the error instead of it; for any thread."""
        self._mailbox.put(self.future, outcome)


class Mailbox:
    """Hands answers to those who wait for them on its loop, all that have come whenever the loop comes to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._arrived = deque[tuple[asyncio.Future[Any], Any]]()
        self._is_called = False  # the loop is going to look

    def put(self, future: asyncio.Future[Answer], outcome: Answer | BaseException) -> None:
        """Leave an answer; for any thread."""
        self._arrived.append((future, outcome))
        if not self._is_called:
            self._is_called = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.loop.call_soon_threadsafe(self._hand_out)

    def _hand_out(self) -> None:
        self._is_called = False  # first: what arrives from here on calls the loop again
        while self._arrived:
            future, outcome = self._arrived.popleft()
            if future.done():
                continue  # nobody waits for it any more
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
