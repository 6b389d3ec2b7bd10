"""Waiting for whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def settle(future: asyncio.Future[T], value: T) -> None:
    """Give a future its result unless it has one, or nobody waits for it any more."""
    if not future.done():
        future.set_result(value)


async def first_of(*waits: Coroutine[Any, Any, T]) -> T:
    """Return what the first of several coroutines returns; the others are cancelled and have ended by then."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
