"""Takes messages out of queues, for as long as the worker wants them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Never

import structlog

from worker.domain.errors import MessagingUnavailable
from worker.messaging.channel import Channel
from worker.messaging.connection import CLOSE_SECONDS, AmqpConnection
from worker.messaging.deliveries import Deliveries, Handler
from worker.messaging.lifeline import Lifeline
from worker.messaging.waiting import first_of

MAX_PREFETCH = 65_535
"""AMQP counts with 16 bits."""

_log = structlog.get_logger()


class Consumer:
    """
    Hands the messages of some queues to handlers, on a connection of its own, and acknowledges what they return from.

    Handlers are called in the order of delivery, without waiting for one another; at most `prefetch` messages of a
    queue are with them. Each message comes at least once. `run` works until `stop`.
    """

    def __init__(self, lifeline: Lifeline, handlers: Mapping[str, Handler], prefetch: int) -> None:
        self._lifeline = lifeline
        self._handlers = handlers
        self._prefetch = min(prefetch, MAX_PREFETCH)
        self._running: set[asyncio.Task[None]] = set()
        self._current: list[Deliveries] = []
        self._paused = False
        self._steering = asyncio.Lock()
        self._stopping = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Tell whether RabbitMQ is reached at this moment."""
        return self._lifeline.connected

    @property
    def handling(self) -> int:
        """Return how many messages are with their handlers."""
        return len(self._running)

    async def run(self) -> None:
        """Consume until `stop`, across any number of connections."""
        await self._lifeline.keep(self._consume)

    async def pause(self) -> None:
        """Receive no more; what no handler is at work on goes back to its queue. The connection stays."""
        self._paused = True
        await self._steer()

    async def resume(self) -> None:
        """Receive again."""
        self._paused = False
        await self._steer()

    async def stop(self, within: float) -> None:
        """Receive no more, give running handlers `within` seconds to return and be acknowledged, then disconnect."""
        try:
            async with asyncio.timeout(within):
                await self.pause()
                while self._running:
                    await asyncio.wait(self._running)
        except TimeoutError:
            _log.warning("messages left unhandled", count=self.handling, meaning="RabbitMQ delivers them again")
        self._stopping.set()
        await self._lifeline.end(within=CLOSE_SECONDS)
        await _cancelled(self._running)

    async def _consume(self, connection: AmqpConnection, at_work: Callable[[], None]) -> None:
        channels = [await connection.channel() for _ in self._handlers]
        for channel in channels:
            await channel.prefetch(self._prefetch)
        self._current = [
            Deliveries(channel, queue, handler, self._running)
            for channel, (queue, handler) in zip(channels, self._handlers.items(), strict=True)
        ]
        try:
            await self._steer_all()
            at_work()
            await first_of(self._stopping.wait(), *map(_until_ended, channels))
        finally:
            for deliveries in self._current:
                deliveries.end()

    async def _steer(self) -> None:
        try:
            await self._steer_all()
        except MessagingUnavailable:
            return  # the next connection begins as it is wanted by then

    async def _steer_all(self) -> None:
        async with self._steering:
            for deliveries in self._current:
                await (deliveries.pause() if self._paused else deliveries.begin())


async def _until_ended(channel: Channel) -> Never:
    raise await channel.until_ended()


async def _cancelled(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
