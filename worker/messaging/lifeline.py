"""One connection after another: what keeps a part of the worker on RabbitMQ for as long as the worker lives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from worker.domain.errors import MessagingUnavailable
from worker.messaging.connection import AmqpConnection, connected
from worker.messaging.declaration import declare
from worker.messaging.errors import AccessRefused
from worker.messaging.topology import Topology
from worker.messaging.waiting import settle
from worker.observability import Outage

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0

_log = structlog.get_logger()

Use = Callable[[AmqpConnection, Callable[[], None]], Awaitable[None]]
"""Work on one connection: calls its second argument when it has begun, raises MessagingUnavailable when it must end."""


class Lifeline:
    """
    Runs one piece of work on RabbitMQ, on a new connection whenever the last one was lost.

    Nothing survives a connection: the work makes its channels and consumers anew each time, and after an outage
    `wanted` is declared again, should RabbitMQ have come back empty. `outage` tells of an outage for all lifelines that
    share it; wrong credentials are told once in between. The pauses between tries are random and grow to 5 s: many
    workers do not come back in the same moment, and no trade grows old meanwhile.
    """

    def __init__(self, url: str, name: str, outage: Outage, wanted: Topology | None = None) -> None:
        self._url = url
        self._name = name
        self._outage = outage
        self._wanted = wanted
        self._is_lost = False
        self._refusal_told = False
        self._working = False
        self._keeping: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Tell whether the work is going on right now."""
        return self._working

    async def keep(self, use: Use) -> None:
        """Do the work until it returns by itself or `end` cuts it off."""
        self._keeping = asyncio.create_task(self._keep(use), name=self._name)
        try:
            await asyncio.wait({self._keeping})
        except asyncio.CancelledError:
            await self.end(within=0)
            raise
        if not self._keeping.cancelled():
            self._keeping.result()

    async def end(self, within: float) -> None:
        """Give the work `within` seconds to return by itself, then cut it off and close its connection."""
        if self._keeping is None:
            return
        await asyncio.wait({self._keeping}, timeout=within)
        self._keeping.cancel()
        await asyncio.wait({self._keeping})

    async def _keep(self, use: Use) -> None:
        while True:
            work = await self._begin_at_last(use)
            try:
                return await work
            except MessagingUnavailable as error:
                self._lost(error)
            finally:
                self._working = False

    async def _begin_at_last(self, use: Use) -> asyncio.Task[None]:
        pauses = wait_random_exponential(multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS)
        again = retry_if_exception_type(MessagingUnavailable)
        return await AsyncRetrying(wait=pauses, retry=again, reraise=True)(self._begin, use)

    async def _begin(self, use: Use) -> asyncio.Task[None]:
        tried_at = time.monotonic()
        at_work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        work = asyncio.create_task(self._work(use, at_work), name=f"{self._name} work")
        try:
            await asyncio.wait({work, at_work}, return_when=asyncio.FIRST_COMPLETED)
            if not at_work.done():
                await work
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait({work})
            raise
        except MessagingUnavailable as error:
            self._lost(error, tried_at)
            raise
        self._back()
        return work

    async def _work(self, use: Use, at_work: asyncio.Future[None]) -> None:
        async with connected(self._url, self._name) as connection:
            await self._declare(connection)
            await use(connection, partial(settle, at_work, None))

    async def _declare(self, connection: AmqpConnection) -> None:
        if self._wanted and self._is_lost:
            await declare(connection, self._wanted)  # what is wrong with it shows where it is needed

    def _lost(self, error: MessagingUnavailable, tried_at: float | None = None) -> None:
        self._outage.lost(str(error), tried_at)
        if not self._is_lost:
            self._is_lost = True
            self._refusal_told = isinstance(error, AccessRefused)
        elif isinstance(error, AccessRefused) and not self._refusal_told:
            self._refusal_told = True
            _log.error("rabbitmq refuses", connection=self._name, why=str(error))

    def _back(self) -> None:
        self._outage.reconnects += self._is_lost
        self._working, self._is_lost = True, False
        self._outage.back()
