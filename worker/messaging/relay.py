"""Moves messages from the outbox to RabbitMQ, in order, until each is confirmed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Never, TypeVar

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from worker.domain.errors import LedgerUnavailable
from worker.domain.message import MessageKind, PublishResult
from worker.messaging.connection import AmqpConnection
from worker.messaging.lifeline import Lifeline
from worker.messaging.publisher import Publisher
from worker.messaging.waiting import first_of
from worker.metering import UNMETERED, Meter
from worker.ports import Outbox, OutboxRow

BATCH = 500

IDLE_SECONDS = 1.0
"""How long to sleep when the outbox says nothing; it normally wakes the relay at once."""

REPLY_CONFIRM_SECONDS = 5.0
"""A reply queue is the sender's own affair: one that does not confirm is not waited for any longer."""

MOST_NAMED = 10
"""How many messages one line of the log names."""

FIRST_REST_SECONDS = 0.1
"""How long a ledger that does not answer is left alone; after that the pauses are random, and grow."""

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0

_ADVICE = {
    PublishResult.RETURNED: {
        "meaning": "no queue is bound for them; they wait in the outbox",
        "todo": "run `mt5-worker topology declare`, or bind a queue",
    },
    PublishResult.REFUSED: {
        "meaning": "they wait in the outbox and are tried again",
        "todo": "see the line before: create the exchange, grant the right, or make room in RabbitMQ",
    },
}

_log = structlog.get_logger()
_T = TypeVar("_T")


@dataclass(slots=True)
class RelayCounts:
    """What happened since the start, for metrics."""

    published: int = 0
    not_taken: int = 0  # tries that RabbitMQ refused, or that found no queue; they are repeated
    replies_lost: int = 0  # copies for `reply_to` that found nobody; they are not


@dataclass(frozen=True, slots=True)
class _Postponed:
    due: float
    pause: float


class Relay:
    """
    Publishes the outbox of one account: confirmations, dead letters and replays in the order of their commit.

    Copies for `reply_to` go over a channel of their own, each after the confirmation it copies; one that nobody takes
    is counted and forgotten. Anything else that is not taken is tried again with growing pauses, and does not hold up
    what comes behind it. `run` works until `stop`.
    """

    def __init__(self, lifeline: Lifeline, outbox: Outbox, meter: Meter = UNMETERED) -> None:
        self.counts = RelayCounts()
        self._meter = meter
        self._lifeline = lifeline
        self._outbox = outbox
        self._postponed: dict[int, _Postponed] = {}
        self._copies: asyncio.Queue[OutboxRow] = asyncio.Queue()
        self._copying: set[int] = set()
        self._marks: asyncio.Queue[tuple[int, PublishResult]] = asyncio.Queue()
        self._unmarked: set[int] = set()
        self._stopping = False

    @property
    def connected(self) -> bool:
        """Tell whether RabbitMQ is reached at this moment."""
        return self._lifeline.connected

    async def run(self) -> None:
        """Publish what comes into the outbox until `stop`, across any number of connections."""
        await first_of(self._lifeline.keep(self._relay), self._write_marks())

    async def stop(self, within: float) -> None:
        """Publish what is in the outbox by now, for at most `within` seconds; the rest stays there."""
        self._stopping = True
        self._outbox.ring()
        await self._lifeline.end(within)

    async def _relay(self, connection: AmqpConnection, at_work: Callable[[], None]) -> None:
        self._copies, self._copying = asyncio.Queue(), set()
        main, copies = Publisher(connection), Publisher(connection, REPLY_CONFIRM_SECONDS)
        at_work()
        await first_of(self._publish_main(main), self._publish_copies(copies), connection.until_lost())

    async def _publish_main(self, publisher: Publisher) -> None:
        while True:
            if rows := await self._due():
                await self._publish_rows(publisher, [row for row in rows if not _is_copy(row)])
                self._copy_later([row for row in rows if _is_copy(row)])
            elif self._stopping:
                await self._copies.join()
                await self._marks.join()
                return
            if not self._stopping:
                await self._news()

    async def _due(self) -> Sequence[OutboxRow]:
        now = time.monotonic()
        waiting = {row_id for row_id, postponed in self._postponed.items() if postponed.due > now}
        return await _patiently(lambda: self._outbox.pending(BATCH, waiting | self._copying | self._unmarked))

    async def _news(self) -> None:
        next_due = min(
            (postponed.due for postponed in self._postponed.values()), default=time.monotonic() + IDLE_SECONDS
        )
        patience = min(max(next_due - time.monotonic(), 0.0), IDLE_SECONDS)
        await _patiently(lambda: self._outbox.wait(patience))

    async def _publish_rows(self, publisher: Publisher, rows: Sequence[OutboxRow]) -> None:
        results = await publisher.publish([row.message for row in rows])
        outcome = {row.id: result for row, result in zip(rows, results, strict=True)}
        taken = {row_id: result for row_id, result in outcome.items() if result is PublishResult.CONFIRMED}
        self.counts.published += len(taken)
        self._meter.published(row.message for row in rows if row.id in taken)
        self._mark_later(taken)
        for row_id in taken:
            self._postponed.pop(row_id, None)
        self._postpone([row for row in rows if row.id not in taken], outcome)

    def _postpone(self, rows: Sequence[OutboxRow], outcome: Mapping[int, PublishResult]) -> None:
        for row in rows:
            before = self._postponed.get(row.id)
            pause = min(2 * before.pause, LONGEST_PAUSE_SECONDS) if before else FIRST_PAUSE_SECONDS
            self._postponed[row.id] = _Postponed(time.monotonic() + pause, pause)
        self.counts.not_taken += len(rows)
        for exchange, result in {(row.message.exchange, outcome[row.id]) for row in rows}:
            which = [row for row in rows if (row.message.exchange, outcome[row.id]) == (exchange, result)]
            _log.error("messages not taken", exchange=exchange, result=result, **_named(which), **_ADVICE[result])

    def _copy_later(self, rows: Sequence[OutboxRow]) -> None:
        for row in rows:
            self._copying.add(row.id)
            self._copies.put_nowait(row)

    async def _publish_copies(self, publisher: Publisher) -> Never:
        while True:
            rows = [await self._copies.get()]
            while len(rows) < BATCH and not self._copies.empty():
                rows.append(self._copies.get_nowait())
            await self._publish_copies_of(publisher, rows)

    async def _publish_copies_of(self, publisher: Publisher, rows: Sequence[OutboxRow]) -> None:
        results = await publisher.publish([row.message for row in rows])
        lost = len(rows) - results.count(PublishResult.CONFIRMED)
        self.counts.published += len(rows) - lost
        self.counts.replies_lost += lost
        if lost:
            nobody = [row for row, result in zip(rows, results, strict=True) if result is not PublishResult.CONFIRMED]
            meaning = "the confirmations themselves are not affected"
            _log.warning("replies found nobody", **_named(nobody), meaning=meaning)
        self._mark_later({row.id: result for row, result in zip(rows, results, strict=True)})
        for row in rows:
            self._copying.discard(row.id)
            self._copies.task_done()

    def _mark_later(self, results: Mapping[int, PublishResult]) -> None:
        self._unmarked.update(results)
        for mark in results.items():
            self._marks.put_nowait(mark)

    async def _write_marks(self) -> Never:
        """
        Tell the ledger what need not come again, beside what is published next: a mark takes its time.

        Across connections to RabbitMQ: what one of them has published, the next one does not publish again.
        """
        while True:
            results = dict([await self._marks.get()])
            while not self._marks.empty():
                results.update([self._marks.get_nowait()])
            await self._mark(results)
            self._unmarked.difference_update(results)
            for _ in results:
                self._marks.task_done()

    async def _mark(self, results: Mapping[int, PublishResult]) -> None:
        await _patiently(lambda: self._outbox.mark(results))


def _named(rows: Sequence[OutboxRow]) -> Mapping[str, object]:
    """Return which messages a line is about: how many, and the first ids; a confirmation has its execution in it."""
    return {"count": len(rows), "messages": [row.message.message_id for row in rows[:MOST_NAMED]]}


def _is_copy(row: OutboxRow) -> bool:
    return row.message.kind is MessageKind.REPLY


async def _patiently(ask: Callable[[], Awaitable[_T]]) -> _T:
    """Ask the ledger until it answers: what is published and cannot be marked would only be published twice."""
    try:
        return await ask()
    except LedgerUnavailable:
        await asyncio.sleep(FIRST_REST_SECONDS)
    return await _again(ask)


async def _again(ask: Callable[[], Awaitable[_T]]) -> _T:
    async def answer() -> _T:
        return await ask()

    pauses = wait_random_exponential(multiplier=0.2, max=5)
    return await AsyncRetrying(wait=pauses, retry=retry_if_exception_type(LedgerUnavailable), reraise=True)(answer)
