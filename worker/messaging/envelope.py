"""
Between AMQP's properties and the domain's messages.

Everything that comes in becomes plain text, numbers, lists and mappings that PostgreSQL can store: anybody may publish,
and no envelope may stop the worker.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pika
from pika import data

from worker.domain.message import MAX_HEADERS_BYTES, IncomingMessage, OutgoingMessage, size_of

_UNREADABLE = {"x-unreadable-headers": True}


def incoming(method: Any, properties: pika.BasicProperties, body: bytes) -> IncomingMessage:
    """Return a delivery as the domain knows it. Never raises."""
    return IncomingMessage(
        body=body,
        exchange=_text(method.exchange) or "",
        routing_key=_text(method.routing_key) or "",
        message_id=_text(properties.message_id),
        correlation_id=_text(properties.correlation_id),
        reply_to=_text(properties.reply_to),
        content_type=_text(properties.content_type),
        content_encoding=_text(properties.content_encoding),
        headers=_plain(properties.headers or {}),
        redelivered=method.redelivered,
    )


def outgoing(message: OutgoingMessage) -> pika.BasicProperties:
    """Return the properties of a message: always persistent. Raises ValueError when AMQP cannot carry its headers."""
    size = size_of(message.headers)
    if size > MAX_HEADERS_BYTES:
        raise ValueError(f"its headers have {size} bytes, and RabbitMQ takes no more than {MAX_HEADERS_BYTES}")
    return pika.BasicProperties(
        delivery_mode=pika.DeliveryMode.Persistent,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        type=message.type,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        headers=dict(message.headers) or None,
    )


def _text(value: str | bytes | None) -> str | None:
    """AMQP's strings are bytes by convention UTF-8; PostgreSQL's text knows no U+0000."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
    return text.replace("\0", "\\0") if text else text


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {_text(key): _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case str() | bytes():
            return _text(value)
        case bool() | int() | None:
            return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _read_headers_without_breaking() -> None:
    """
    Make pika skip a header table that it cannot read.

    A timestamp beyond the calendar, a NaN or a thousand nested lists raise inside pika's reader, which ends the
    connection. RabbitMQ would deliver the same message again at once, for ever.
    """
    read = data.decode_table

    def read_or_skip(encoded: bytes, offset: int) -> tuple[dict[str, Any], int]:
        try:
            table: tuple[dict[str, Any], int] = read(encoded, offset)
        except (ValueError, OverflowError, OSError, RecursionError):
            size = int.from_bytes(encoded[offset : offset + 4])
            return dict(_UNREADABLE), offset + 4 + size
        return table

    data.decode_table = read_or_skip


_read_headers_without_breaking()
