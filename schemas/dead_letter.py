"""
The headers of a dead letter: why it failed, where it came from, what it belongs to.

All are strings. Each is cut to a length of its own, so that all together always fit one AMQP frame (RabbitMQ's default
is 128 KiB, and a larger header frame closes the connection).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict

from schemas.refusals import DeadLetterReason
from schemas.text import storable

__all__ = [
    "MAX_HEADER_BYTES",
    "MAX_STACK_BYTES",
    "DeadLetterHeaders",
    "DeadLetterReason",
    "cut_to",
    "reason_of_rabbitmq",
]

MAX_STACK_BYTES = 16 * 1024
MAX_DETAIL_BYTES = 4 * 1024
MAX_HEADER_BYTES = 512
"""Names and identities: an AMQP short string has at most 255 bytes."""

_MARK = "... [cut]"
_REASON_OF_RABBITMQ = {
    "delivery_limit": DeadLetterReason.DELIVERY_LIMIT,
    "expired": DeadLetterReason.EXPIRED,
}


def cut_to(limit: int, text: str) -> str:
    """Cut text to `limit` bytes of UTF-8, a mark included, without splitting a character."""
    encoded = storable(text).encode()
    if len(encoded) > limit:
        return encoded[: limit - len(_MARK)].decode(errors="ignore") + _MARK
    return encoded.decode()


def _capped(limit: int) -> Any:
    return BeforeValidator(lambda value: cut_to(limit, value) if isinstance(value, str) else value)


_Short = Annotated[str, _capped(MAX_HEADER_BYTES)]
_Detail = Annotated[str, _capped(MAX_DETAIL_BYTES)]
_Stack = Annotated[str, _capped(MAX_STACK_BYTES)]


class DeadLetterHeaders(BaseModel):
    """What the worker writes into the headers of a dead letter. What is unknown is left out."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )

    failure_reason: DeadLetterReason
    """Why, as a word."""
    failure_detail: _Detail | None = None
    """Why, as a sentence for the person who looks into it."""
    failure_exception: _Short | None = None
    """Type of the Python exception behind it, when there was one."""
    failure_stack: _Stack | None = None
    """Its stack trace, at most 16 KiB."""
    failed_at: _Short | None = None
    """When it failed, UTC, ISO 8601."""
    first_failed_at: _Short | None = None
    """When it failed for the first time, before any replay."""
    failure_attempt: _Short | None = None
    """How many times it has failed, from 1."""
    worker_id: _Short | None = None
    """The process that gave up."""
    worker_version: _Short | None = None
    """Its version."""
    account: _Short | None = None
    """The account of the queue."""
    trade_id: _Short | None = None
    """Identity of the trade, when it has one."""
    execution_id: _Short | None = None
    """The worker's name of the execution, when there is one."""
    original_exchange: _Short | None = None
    """Exchange that the message was published to; empty for the default exchange."""
    original_routing_key: _Short | None = None
    """Routing key that it was published with."""
    original_message_id: _Short | None = None
    """Its own `message_id`; the dead letter has one of its own."""
    replay_id: _Short | None = None
    """The replay that it failed in, when it was replayed."""

    def to_headers(self) -> dict[str, str]:
        """Return the AMQP headers."""
        return {name: str(value) for name, value in self.model_dump(by_alias=True, exclude_none=True).items()}

    @classmethod
    def from_headers(cls, headers: Mapping[str, object]) -> Self:
        """
        Read the headers of a dead letter from any source; never raises.

        RabbitMQ's own dead letters have no `failure-reason`: theirs is in `x-first-death-reason`. A reason that is
        nobody's is `internal_error`. Values that are not strings are left out.
        """
        ours = {name: value for name, value in headers.items() if name in _NAMES and isinstance(value, str)}
        return cls.model_validate(ours | {"failure-reason": _reason(headers)})


def _reason(headers: Mapping[str, object]) -> DeadLetterReason:
    ours = headers.get("failure-reason")
    if isinstance(ours, str) and ours in set(DeadLetterReason):
        return DeadLetterReason(ours)
    return reason_of_rabbitmq(str(headers.get("x-first-death-reason")))


def reason_of_rabbitmq(word: str) -> DeadLetterReason:
    """Return the reason for a word in RabbitMQ's `x-death`; what it never does to our queues is `internal_error`."""
    return _REASON_OF_RABBITMQ.get(word, DeadLetterReason.INTERNAL_ERROR)


_NAMES = {name.replace("_", "-") for name in DeadLetterHeaders.model_fields}
