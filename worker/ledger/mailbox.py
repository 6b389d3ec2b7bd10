"""The outbox as the relay sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from worker.domain.message import PublishResult
from worker.ledger.commit import Committer
from worker.ledger.connection import Connection
from worker.ledger.line import Line
from worker.ledger.mark import Mark
from worker.ledger.records import outgoing_from
from worker.ledger.round_trip import round_trip
from worker.ports import OutboxRow

MAX_BYTES = 32 * 1024 * 1024  # of bodies at a time


class PostgresOutbox:
    """Implements `Outbox`."""

    def __init__(self, account: str, line: Line) -> None:
        self._account = account
        self._line = line
        self._mail = asyncio.Event()
        self._committer: Committer | None = None

    def serve(self, committer: Committer) -> None:
        """Write marks through this committer from now on."""
        self._committer = committer

    def ring(self) -> None:
        """Wake the relay: something was committed."""
        self._mail.set()

    async def pending(self, limit: int, besides: Collection[int] = ()) -> Sequence[OutboxRow]:
        """Return the oldest unpublished messages but for those: at most `limit`, and about 32 MiB of bodies."""
        self._mail.clear()  # before looking: what is committed from here on rings again
        return await self._line.run(lambda connection: self._read(connection, limit, besides))

    async def mark(self, results: Mapping[int, PublishResult]) -> None:
        """Record what RabbitMQ answered, with the next commit that goes out: nobody waits for a mark."""
        if self._committer is not None and results:
            await self._committer.submit(Mark(results), patient=True)

    async def wait(self, at_most: float) -> None:
        """Return when this worker has committed something to the outbox, or after `at_most` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                await self._mail.wait()

    async def close(self) -> None:
        """Close the connection."""
        await self._line.close()

    async def _read(self, connection: Connection, limit: int, besides: Collection[int]) -> Sequence[OutboxRow]:
        values = {"account": self._account, "limit": limit, "besides": list(besides), "bytes": MAX_BYTES}
        [rows] = await round_trip(connection, [("pending_outbox", values)])
        return [OutboxRow(row["id"], outgoing_from(row)) for row in rows]
