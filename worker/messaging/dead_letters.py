"""Moves dead letters from RabbitMQ to the dead-letter desk, where operators search, group and replay them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import structlog

from schemas.dead_letter import DeadLetterHeaders, reason_of_rabbitmq
from schemas.refusals import DeadLetterReason
from worker.domain.errors import NotStorable, WorkerError
from worker.domain.message import IncomingMessage
from worker.messaging.consumer import Consumer
from worker.messaging.lifeline import Lifeline
from worker.messaging.parking import BROUGHT_BACK_BY, Parked, Publish, parked, publish_surely, read_parked
from worker.messaging.topology import (
    TRADES_DEAD,
    TRADES_PARKED,
    TRADES_UNROUTABLE,
    account_of_queue,
    account_of_routing_key,
)
from worker.ports import DeadLetter, DeadLetterDesk, RefusedMessage

PREFETCH = 10

_COUNTED_BY_RABBITMQ = {"x-delivery-count", "x-acquired-count"}
_WORDS_OF_RABBITMQ = {
    "delivery_limit": "delivered too often without being acknowledged: look for a crash of the worker at that time",
    "expired": "its expiration passed before the worker took it",
    "rejected": "a consumer rejected it",
    "maxlen": "the queue was full",
}

_log = structlog.get_logger()

Explain = Callable[[DeadLetter], RefusedMessage | None]
"""Returns what to tell the sender of a dead letter that nobody has told yet, None when the sender cannot be told."""


class Ingester:
    """
    Takes `trades.dead` and `trades.unroutable` in, each letter at least once, acknowledged after its commit.

    Several workers may do this at the same time. While the desk can store nothing, letters stay in their queue and are
    tried again with growing pauses. One that the desk refuses for what it is goes to `trades.parked`, with an alert.
    """

    def __init__(self, lifeline: Lifeline, desk: DeadLetterDesk, explain: Explain, publish: Publish) -> None:
        self._desk = desk
        self._explain = explain
        self._publish = publish
        handlers = {queue: partial(self._take_in, queue) for queue in (TRADES_DEAD, TRADES_UNROUTABLE)}
        self._consumer = Consumer(lifeline, handlers, PREFETCH)

    async def run(self) -> None:
        """Take dead letters in until `stop`."""
        await self._consumer.run()

    async def stop(self, within: float) -> None:
        """Take no more, and give what is being stored `within` seconds to be committed."""
        await self._consumer.stop(within)

    async def _take_in(self, queue: str, message: IncomingMessage) -> None:
        known = read_parked(message)
        letter = read_letter(queue, message) if known is None else _brought_back(known, message)
        try:
            is_new = await self._desk.take_in(letter, self._explain(letter))
        except Exception as error:
            if isinstance(error, WorkerError) and not isinstance(error, NotStorable):
                raise  # it is the same for every letter, and passes
            await self._park(known or Parked(letter.letter_id, queue, message), error)
            return
        if is_new:
            _log.warning(
                "dead letter",
                id=str(letter.letter_id),
                reason=letter.reason,
                detail=letter.detail,
                trade_id=letter.trade_id,
                execution_id=letter.execution_id,
                account=letter.account,
            )

    async def _park(self, letter: Parked, error: Exception) -> None:
        why = str(error) if isinstance(error, NotStorable) else f"{type(error).__name__}: {error}"
        await publish_surely(self._publish, parked(letter.letter_id, letter.queue, letter.message, why))
        _log.error(
            "dead_letter_parked",
            alert=True,
            id=str(letter.letter_id),
            detail=why,
            meaning=f"it waits in {TRADES_PARKED} and is in no listing",
            todo="see why; then `mt5-worker dlq unpark` tries again",
        )


def read_letter(queue: str, message: IncomingMessage) -> DeadLetter:
    """Return a delivery from one of the dead-letter queues as it is stored. Never raises."""
    digest = content_digest(message)
    if queue == TRADES_UNROUTABLE:
        return _unroutable(message, digest)
    if "failure-reason" in message.headers and not _last_death(message):
        return _from_worker(message, digest)
    return _from_rabbitmq(message, digest)


def _brought_back(known: Parked, message: IncomingMessage) -> DeadLetter:
    letter = read_letter(known.queue, known.message)
    return replace(letter, letter_id=known.letter_id, brought_back_by=message.header(BROUGHT_BACK_BY))


def content_digest(message: IncomingMessage) -> str:
    """Return SHA-256, in hex, over all of a message that stays the same when RabbitMQ delivers it again."""
    headers = {name: value for name, value in message.headers.items() if name not in _COUNTED_BY_RABBITMQ}
    envelope = json.dumps([message.exchange, message.routing_key, message.message_id, headers], sort_keys=True)
    return hashlib.sha256(envelope.encode() + b"\0" + message.body).hexdigest()


def _from_worker(message: IncomingMessage, digest: str) -> DeadLetter:
    read = DeadLetterHeaders.from_headers(message.headers)
    original = replace(
        message,
        exchange=read.original_exchange or "",
        routing_key=read.original_routing_key or "",
        message_id=read.original_message_id,
    )
    return DeadLetter(
        letter_id=_uuid(message.message_id) or _made_up_id(message, digest),
        source_queue=TRADES_DEAD,
        account=read.account,
        reason=read.failure_reason,
        detail=read.failure_detail or "",
        message=original,
        headers=message.headers,
        trade_id=read.trade_id,
        execution_id=_uuid(read.execution_id),
        failed_at=_moment(read.failed_at),
        content_digest=digest,
    )


def _from_rabbitmq(message: IncomingMessage, digest: str) -> DeadLetter:
    death = _last_death(message)
    word = str(death.get("reason") or message.header("x-first-death-reason"))
    keys = death.get("routing-keys")
    original = replace(
        message,
        exchange=str(death.get("exchange", message.exchange)),
        routing_key=str(keys[0]) if isinstance(keys, list) and keys else message.routing_key,
    )
    return DeadLetter(
        letter_id=_made_up_id(message, digest),
        source_queue=TRADES_DEAD,
        account=account_of_queue(str(death.get("queue", ""))) or account_of_routing_key(message.routing_key),
        reason=reason_of_rabbitmq(word),
        detail=_WORDS_OF_RABBITMQ.get(word, f"came into {TRADES_DEAD} without a word about why"),
        message=original,
        headers=message.headers,
        failed_at=_moment(str(death.get("time"))),
        content_digest=digest,
    )


def _unroutable(message: IncomingMessage, digest: str) -> DeadLetter:
    account = account_of_routing_key(message.routing_key)
    expected = "the routing key is not approved.<account>.<symbol>" if account is None else f"no queue for '{account}'"
    return DeadLetter(
        letter_id=_made_up_id(message, digest),
        source_queue=TRADES_UNROUTABLE,
        account=account,
        reason=DeadLetterReason.UNKNOWN_ACCOUNT,
        detail=f"{expected}; routing key was '{message.routing_key}'",
        message=message,
        headers=message.headers,
        content_digest=digest,
    )


def _last_death(message: IncomingMessage) -> Mapping[str, Any]:
    match message.headers.get("x-death"):
        case [dict() as latest, *_]:
            return latest
    return {}


def _made_up_id(message: IncomingMessage, digest: str) -> UUID:
    """
    Return an id for a letter that came without one.

    Two equal letters are two letters, so a first delivery gets a new id. A redelivery gets one that stays the same
    however often it comes; whether its first delivery was stored, the desk sees by the digest.
    """
    return uuid5(NAMESPACE_OID, digest) if message.redelivered else uuid4()


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the latter for one that is beyond the calendar in UTC
        return None
