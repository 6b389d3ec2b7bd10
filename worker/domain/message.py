"""Messages as they came in and as they leave, free of any AMQP library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MAX_HEADERS_BYTES = 100_000
"""Headers travel in one frame, of at most 128 KiB by RabbitMQ's default; a larger one closes the connection."""


def size_of(headers: Mapping[str, str]) -> int:
    """Return the bytes of headers, names included."""
    return sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A delivery: the raw body and what its envelope said. Header values are strings, numbers, or nested lists."""

    body: bytes
    exchange: str = ""
    routing_key: str = ""
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    headers: Mapping[str, object] = field(default_factory=dict)
    redelivered: bool = False

    def header(self, name: str) -> str | None:
        """Return a header's value when it is a string, else None."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else None


class MessageKind(StrEnum):
    """What an outgoing message is; it decides the channel it takes."""

    CONFIRMATION = "confirmation"
    REPLY = "reply"  # the copy for `reply_to`: may find nobody, and that is no error
    DEAD_LETTER = "dead_letter"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message for the outbox. Always persistent, always `mandatory`."""

    kind: MessageKind
    exchange: str
    routing_key: str
    body: bytes
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    type: str | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_encoding: str | None = None


class PublishResult(StrEnum):
    """What RabbitMQ did with a published message."""

    CONFIRMED = "confirmed"
    RETURNED = "returned"  # confirmed, but no queue took it
    REFUSED = "refused"  # negatively acknowledged, or the channel was closed over it
