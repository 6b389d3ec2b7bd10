"""Looks at RabbitMQ, publishes one message, listens in: what the command line and `doctor` need."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass

from worker.domain.message import IncomingMessage, OutgoingMessage, PublishResult
from worker.messaging.connection import AmqpConnection, connected
from worker.messaging.errors import ChannelClosed
from worker.messaging.publisher import Publisher
from worker.messaging.topology import EXECUTIONS
from worker.messaging.waiting import first_of

LISTENING_PREFETCH = 1000


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """A queue at this moment. `messages` are the ready ones; those with a consumer are not counted."""

    name: str
    messages: int
    consumers: int


async def queue_depths(connection: AmqpConnection, names: Iterable[str]) -> list[QueueDepth | str]:
    """Return each queue's depth, or the name alone when it does not exist or may not be looked at."""
    return [await _depth(connection, name) for name in names]


async def _depth(connection: AmqpConnection, name: str) -> QueueDepth | str:
    channel = await connection.channel()
    try:
        messages, consumers = await channel.find_queue(name)
    except ChannelClosed:
        return name
    await channel.close()
    return QueueDepth(name, messages, consumers)


async def forbidden_exchanges(connection: AmqpConnection, names: Iterable[str]) -> list[str]:
    """Return those of these exchanges that this user may not publish to, or that do not exist."""
    return [name for name in names if not await _may_publish(connection, name)]


async def _may_publish(connection: AmqpConnection, name: str) -> bool:
    channel = await connection.channel()
    try:
        await channel.may_publish(name)
    except ChannelClosed:
        return False
    await channel.close()
    return True


async def publish_all(url: str, messages: Iterable[OutgoingMessage]) -> list[PublishResult]:
    """Publish messages over a connection of their own and wait for what RabbitMQ says. Raises MessagingUnavailable."""
    async with connected(url, "mt5-worker publish") as connection:
        return await Publisher(connection).publish(list(messages))


async def listen(
    url: str, *routing_keys: str, on_ready: Callable[[], None] = lambda: None
) -> AsyncGenerator[IncomingMessage, None]:
    """
    Yield confirmations as they are published, from a private queue that ends with the listener.

    Only what is published after `on_ready` was called. Raises MessagingUnavailable when the connection is lost: what is
    published after that is missed, and `confirmations republish` sends it again.
    """
    async with connected(url, "mt5-worker confirmations") as connection:
        arrived: asyncio.Queue[IncomingMessage] = asyncio.Queue()
        channel = await connection.channel()
        await channel.prefetch(LISTENING_PREFETCH)
        queue = f"sub.confirmations.{secrets.token_hex(8)}"
        await channel.declare_private_queue(queue)
        for routing_key in routing_keys or ("confirmation.#",):
            await channel.bind(queue, EXECUTIONS, routing_key)

        def take(tag: int, message: IncomingMessage) -> None:
            channel.acknowledge(tag)
            arrived.put_nowait(message)

        await channel.consume(queue, take)
        on_ready()
        while True:
            yield await first_of(arrived.get(), connection.until_lost())
