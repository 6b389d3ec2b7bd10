"""A channel of RabbitMQ on asyncio, with as little around pika as confirms and deliveries take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

PERSISTENT = pika.BasicProperties(content_type="application/json", delivery_mode=2)

Delivery = tuple[int, bytes]
"""A delivery tag and a body."""


class Channel:
    """Publishes with confirms, consumes, acknowledges. An error of the connection ends whoever waits for confirms."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._published = 0
        self._open: dict[int, None] = {}
        self._all_confirmed = asyncio.Event()
        self._refused: str | None = None
        channel.add_on_close_callback(lambda _channel, reason: self._refuse(str(reason)))

    def publish(self, exchange: str, routing_key: str, body: bytes) -> None:
        """Publish a persistent message."""
        self._published += 1
        self._open[self._published] = None
        self._all_confirmed.clear()
        self._channel.basic_publish(exchange, routing_key, body, PERSISTENT)

    async def confirmed(self) -> None:
        """Wait until RabbitMQ has confirmed everything that was published.

        Raises:
            RuntimeError: it refused a message or closed the channel.

        """
        if self._open:
            await self._all_confirmed.wait()
        if self._refused is not None:
            raise RuntimeError(f"RabbitMQ did not take a message: {self._refused}")

    async def consume(self, queue: str, prefetch: int, deliver: Callable[[Delivery], None]) -> None:
        """Have every message of a queue delivered to a function, at most `prefetch` of them unacknowledged."""
        begun: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._channel.basic_qos(prefetch_count=prefetch)
        self._channel.basic_consume(
            queue,
            lambda _channel, method, _properties, body: deliver((method.delivery_tag, body)),
            callback=begun.set_result,
        )
        await begun

    def acknowledge(self, delivery_tag: int) -> None:
        """Acknowledge this delivery and all before it."""
        self._channel.basic_ack(delivery_tag, multiple=True)

    def on_answer(self, frame: Any) -> None:
        """Take a confirm of RabbitMQ."""
        tag = frame.method.delivery_tag
        if not isinstance(frame.method, pika.spec.Basic.Ack):
            self._refuse(f"message {tag} was refused")
        for number in [one for one in self._open if one <= tag] if frame.method.multiple else [tag]:
            self._open.pop(number, None)
        if not self._open:
            self._all_confirmed.set()

    def _refuse(self, reason: str) -> None:
        self._refused = reason
        self._all_confirmed.set()


@asynccontextmanager
async def open_connection(amqp_url: str) -> AsyncIterator[AsyncioConnection]:
    """Connect to RabbitMQ, and leave it in order."""
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[AsyncioConnection] = loop.create_future()
    closed: asyncio.Future[object] = loop.create_future()
    AsyncioConnection(
        pika.URLParameters(amqp_url),
        on_open_callback=opened.set_result,
        on_open_error_callback=lambda _connection, error: opened.set_exception(RuntimeError(str(error))),
        on_close_callback=lambda _connection, reason: closed.set_result(reason),
    )
    connection = await opened
    try:
        yield connection
    finally:
        if connection.is_open:
            connection.close()
            await closed


async def open_channel(connection: AsyncioConnection) -> Channel:
    """Open a channel on which everything published is confirmed."""
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[Any] = loop.create_future()
    connection.channel(on_open_callback=opened.set_result)
    raw = await opened
    channel = Channel(raw)
    selected: asyncio.Future[Any] = loop.create_future()
    raw.confirm_delivery(channel.on_answer, callback=selected.set_result)
    await selected
    return channel
