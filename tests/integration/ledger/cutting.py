"""A wire to PostgreSQL that can be cut at the worst moment: when a commit is on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from urllib.parse import urlsplit, urlunsplit


class Cut(Enum):
    """When the wire is cut."""

    BEFORE_THE_COMMIT_ARRIVES = "before"
    BEFORE_ITS_ANSWER_ARRIVES = "after"


class Wire:
    """Carries bytes between clients and one server until a cut is asked for; then cuts the next commit, once."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._next: Cut | None = None
        self.cuts = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def cut_next_commit(self, when: Cut) -> None:
        self._next = when

    async def carry(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self._host, self._port)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        answers = asyncio.create_task(self._copy(server, to_client))
        try:
            await self._requests(client, to_server, server, answers)
        finally:
            answers.cancel()
            for writer in (to_client, to_server):
                writer.close()
            self._tasks.discard(task)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _requests(
        self,
        client: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        answers: asyncio.Task[None],
    ) -> None:
        with suppress(ConnectionError):
            while data := await client.read(65536):
                if self._next is not None and b"COMMIT" in data:
                    when, self._next = self._next, None
                    self.cuts += 1
                    if when is Cut.BEFORE_ITS_ANSWER_ARRIVES:
                        answers.cancel()
                        await asyncio.gather(answers, return_exceptions=True)
                        to_server.write(data)
                        await server.read(1)  # the server has answered: it is committed
                    return
                to_server.write(data)
                await to_server.drain()

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()


@asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """Lay a wire to the PostgreSQL of this URL; yields it with the URL to use instead."""
    parts = urlsplit(url)
    wire = Wire(parts.hostname or "127.0.0.1", parts.port or 5432)
    listener = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    who = f"{parts.username}:{parts.password}@" if parts.password else f"{parts.username}@"
    yield wire, urlunsplit(parts._replace(netloc=f"{who}127.0.0.1:{port}"))
    listener.close()
    await wire.close()
