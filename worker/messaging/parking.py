"""
The parking queue: dead letters that the ledger refuses for what they are.

They cannot be stored, and must neither be lost nor stand in the way of others. So they wait in `trades.parked`, whole:
all that is not body is a line of JSON in front of it. None of their sender's headers is a header of the parked message,
because RabbitMQ obeys some of them (`CC` would send a copy to any queue), nor a part of one, which would have to fit a
frame.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from schemas.dead_letter import MAX_HEADER_BYTES, cut_to
from worker.domain.errors import MessagingUnavailable
from worker.domain.message import IncomingMessage, MessageKind, OutgoingMessage, PublishResult
from worker.messaging.connection import AmqpConnection
from worker.messaging.publisher import Publisher
from worker.messaging.topology import TRADES_DEAD, TRADES_PARKED, TRADES_UNROUTABLE
from worker.messaging.waiting import first_of

ENVELOPE_BYTES = "parked-envelope-bytes"

BROUGHT_BACK_BY = "brought-back-by"

PREFETCH = 10

ARRIVAL_SECONDS = 5.0
"""How long RabbitMQ may take to hand over a message that it has counted."""

_AS_THEY_ARE = ("exchange", "routing_key", "message_id", "redelivered", "headers")


@dataclass(frozen=True, slots=True)
class Parked:
    """A dead letter as it was before it was parked: its id, the queue it came from, and its message."""

    letter_id: UUID
    queue: str
    message: IncomingMessage


def parked(letter_id: UUID, queue: str, message: IncomingMessage, why: str) -> OutgoingMessage:
    """Return a dead letter as it is parked; its id stays the same however often it is."""
    told = {name: getattr(message, name) for name in _AS_THEY_ARE} | {"letter_id": str(letter_id), "queue": queue}
    envelope = json.dumps(told, separators=(",", ":")).encode()
    return OutgoingMessage(
        kind=MessageKind.DEAD_LETTER,
        exchange="",
        routing_key=TRADES_PARKED,
        body=envelope + b"\n" + message.body,
        message_id=str(letter_id),
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers={
            "parked-because": cut_to(MAX_HEADER_BYTES, why),
            ENVELOPE_BYTES: str(len(envelope)),
        },
    )


def read_parked(message: IncomingMessage) -> Parked | None:
    """Return what was parked, None for a message that never was, or that somebody else made look like one."""
    try:
        size = int(message.header(ENVELOPE_BYTES) or "")
        told = json.loads(message.body[:size])
        original = IncomingMessage(
            body=message.body[size + 1 :],
            correlation_id=message.correlation_id,
            reply_to=message.reply_to,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            **{name: told[name] for name in _AS_THEY_ARE},
        )
        return Parked(UUID(told["letter_id"]), str(told["queue"]), original) if _is_sound(original) else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


async def unpark(
    connection: AmqpConnection, count: int, by: str, on_progress: Callable[[int, int], None] = lambda _done, _of: None
) -> int:
    """
    Bring the first `count` parked letters back to where dead letters are taken in from; returns how many there were.

    Who did it goes with them, into the audit event of their taking in: the ledger has nothing of them before.
    Each leaves the parking queue when RabbitMQ has confirmed its copy, so one may come twice and none is lost. Raises
    MessagingUnavailable when RabbitMQ does not take one; those before it are back.
    """
    channel, publisher = await connection.channel(), Publisher(connection)
    arrived: asyncio.Queue[tuple[int, IncomingMessage]] = asyncio.Queue()
    await channel.prefetch(PREFETCH)
    await channel.consume(TRADES_PARKED, lambda tag, message: arrived.put_nowait((tag, message)))
    done = 0
    with suppress(TimeoutError):  # somebody else brings them back too
        while done < count:
            async with asyncio.timeout(ARRIVAL_SECONDS):
                tag, message = await first_of(arrived.get(), connection.until_lost())
            await publish_surely(publisher.publish, _back(message, by))
            channel.acknowledge(tag)
            done += 1
            on_progress(done, count)
    await channel.close()
    return done


Publish = Callable[[list[OutgoingMessage]], Awaitable[list[PublishResult]]]


async def publish_surely(publish: Publish, message: OutgoingMessage) -> None:
    """Publish a message that must not get lost. Raises MessagingUnavailable unless a queue has taken it."""
    [result] = await publish([message])
    if result is not PublishResult.CONFIRMED:
        raise MessagingUnavailable(
            f"queue {message.routing_key} took no message ({result}): is it there? Run `mt5-worker topology declare`"
        )


def _back(message: IncomingMessage, by: str) -> OutgoingMessage:
    known = read_parked(message)
    queue = known.queue if known and known.queue == TRADES_UNROUTABLE else TRADES_DEAD
    return OutgoingMessage(
        kind=MessageKind.DEAD_LETTER,
        exchange="",
        routing_key=queue,
        body=message.body,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers={
            **{name: value for name, value in message.headers.items() if isinstance(value, str)},
            BROUGHT_BACK_BY: cut_to(MAX_HEADER_BYTES, by),
        },
    )


def _is_sound(message: IncomingMessage) -> bool:
    texts = (message.exchange, message.routing_key, message.message_id or "")
    return isinstance(message.headers, dict) and all(isinstance(text, str) for text in texts)
