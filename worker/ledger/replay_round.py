"""Replaying many dead letters: one transaction each, at a steady pace, until it is done or somebody says stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from worker.domain.errors import NotFound, Refused
from worker.ledger.operators import Operator
from worker.ledger.replays import ReplayOrder, replay
from worker.ledger.statements import sql

_GLANCE_SECONDS = 0.25  # between two looks at what has become of the letters


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one letter: its replay, or the sentence that it was refused with."""

    letter_id: UUID
    replay_id: UUID | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """Where a letter stands, and the trade that its replay became or reopened; `reason` is the trade's."""

    letter_id: UUID
    state: str
    status: str | None
    reason: str | None


async def replay_each(
    desk: Operator, letter_ids: Sequence[UUID], order: ReplayOrder, *, rate: float, stop: asyncio.Event
) -> AsyncGenerator[Outcome, None]:
    """
    Replay these letters in their order, at most `rate` a second, and tell of each; what is refused stops no other.

    Between two letters it ends when `stop` is set. Raises LedgerUnavailable, with what went before it standing.
    """
    for place, letter_id in enumerate(letter_ids):
        if stop.is_set():
            return
        due = desk.clock.monotonic() + 1 / rate
        yield await _outcome(desk, letter_id, order)
        if place + 1 < len(letter_ids):
            await _pause(due - desk.clock.monotonic(), stop)


async def ends(desk: Operator, letter_ids: Sequence[UUID], within: float, stop: asyncio.Event) -> Mapping[UUID, End]:
    """Wait until the worker has told of all of them, for `within` seconds or until `stop`; return where they stand."""
    until = desk.clock.monotonic() + within
    while True:
        cursor = await desk.connection.execute(sql("ends_of_replays"), {"ids": list(letter_ids)})
        found = {row["letter_id"]: End(**row) for row in await cursor.fetchall()}
        left = until - desk.clock.monotonic()
        if left <= 0 or stop.is_set() or not any(end.state == "replaying" for end in found.values()):
            return found
        await _pause(min(left, _GLANCE_SECONDS), stop)


async def _outcome(desk: Operator, letter_id: UUID, order: ReplayOrder) -> Outcome:
    try:
        return Outcome(letter_id, replay_id=await replay(desk, letter_id, order))
    except (Refused, NotFound) as refused:
        return Outcome(letter_id, refusal=str(refused))


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), max(seconds, 0))
