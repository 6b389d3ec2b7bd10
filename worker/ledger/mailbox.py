"""The outbox as the relay sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from worker.domain.message import PublishResult
from worker.ledger.commit import Committer
from worker.ledger.connection import Connection
from worker.ledger.encoding import Row
from worker.ledger.line import Line
from worker.ledger.mark import Mark
from worker.ledger.records import outgoing_from
from worker.ledger.round_trip import round_trip
from worker.ledger.tray import Mail, Tray
from worker.ports import OutboxRow

MAX_BYTES = 32 * 1024 * 1024  # of bodies at a time


class PostgresOutbox:
    """Implements `Outbox`."""

    def __init__(self, account: str, line: Line) -> None:
        self._account = account
        self._line = line
        self._tray = Tray()
        self._news = asyncio.Event()
        self._committer: Committer | None = None

    def serve(self, committer: Committer) -> None:
        """Write marks through this committer from now on."""
        self._committer = committer

    def hand_over(self, mail: Mail | None) -> None:
        """Take what the next commit has put into the outbox; None when nobody knows what it has."""
        self._tray.put(mail)
        if not self._tray.has_told_all:
            self._news.set()

    def ring(self) -> None:
        """End a `wait`."""
        self._news.set()

    async def pending(self, limit: int, besides: Collection[int] = ()) -> Sequence[OutboxRow]:
        """Return the oldest unpublished messages but for those: at most `limit`, and about 32 MiB of bodies."""
        self._news.clear()  # before looking: what is committed from here on rings again
        rows = self._tray.take(limit, besides) or await self._look(limit, besides)
        if not self._tray.has_told_all:
            self._news.set()
        return rows

    async def mark(self, results: Mapping[int, PublishResult]) -> None:
        """Record what RabbitMQ answered, with the next commit that goes out: nobody waits for a mark."""
        if self._committer is not None and results:
            await self._committer.submit(Mark(results), patient=True)
            self._tray.forget(results)

    async def wait(self, at_most: float) -> None:
        """Return when there is more than `pending` has told of this worker's, or after `at_most` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                await self._news.wait()

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()

    async def _look(self, limit: int, besides: Collection[int]) -> Sequence[OutboxRow]:
        values = {"account": self._account, "limit": limit, "besides": list(besides), "bytes": MAX_BYTES}
        self._tray.begin_look(besides)
        try:
            found = await self._line.run(lambda connection: _read(connection, values))
        except BaseException:
            self._tray.doubt()
            raise
        rows = [OutboxRow(row["id"], outgoing_from(row)) for row in found]
        self._tray.end_look(rows, is_all=not found or len(found) == found[0]["waiting"] < limit)
        return rows


async def _read(connection: Connection, values: Mapping[str, object]) -> Sequence[Row]:
    [rows] = await round_trip(connection, [("pending_outbox", values)])
    return rows
