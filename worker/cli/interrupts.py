"""Ctrl-C as a request: long work ends at the next place where it can be left."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopped_by_ctrl_c() -> Iterator[asyncio.Event]:
    """Yield an event that the first Ctrl-C sets; a second one interrupts as ever."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        loop.call_soon_threadsafe(stop.set)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
