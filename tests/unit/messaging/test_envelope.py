"""Whatever envelope a message has, the domain gets text and numbers that can be stored."""

import json
import struct
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pika
from hypothesis import given
from hypothesis import strategies as st
from pika import data, exceptions

from worker.domain.message import MessageKind, OutgoingMessage
from worker.messaging import envelope

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
strings = texts | st.binary(max_size=20)
values = st.recursive(
    strings
    | st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.just(Decimal("1.25"))
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


def arrived(headers: dict[Any, Any], message_id: Any = None) -> Any:
    method = SimpleNamespace(exchange="trades", routing_key="approved.main.EURUSD", redelivered=True)
    return envelope.incoming(method, pika.BasicProperties(headers=headers, message_id=message_id), b"{}")


@given(st.dictionaries(strings, values, max_size=4), strings)
def test_every_envelope_becomes_json_without_nul(headers: dict[Any, Any], message_id: Any) -> None:
    message = arrived(headers, message_id)

    written = json.dumps([message.message_id, message.headers])

    assert "\\u0000" not in written
    assert message.redelivered


def test_the_forms_of_a_header() -> None:
    message = arrived({"b": b"\xff", "t": datetime(2026, 3, 2, tzinfo=UTC), "d": Decimal("1.5"), "l": [1, {"n": None}]})

    assert message.headers == {"b": "\\xff", "t": "2026-03-02T00:00:00+00:00", "d": "1.5", "l": [1, {"n": None}]}


@given(st.binary(max_size=200))
def test_a_table_of_random_bytes_is_read_or_skipped(table: bytes) -> None:
    # RabbitMQ has parsed every table that it delivers: broken framing cannot arrive, impossible values can.
    with suppress(struct.error, exceptions.InvalidFieldTypeException):
        data.decode_table(len(table).to_bytes(4) + table, 0)


def test_an_outgoing_message_is_persistent_and_complete() -> None:
    message = OutgoingMessage(
        kind=MessageKind.CONFIRMATION,
        exchange="executions",
        routing_key="confirmation.filled.main.EURUSD",
        body=b"{}",
        message_id="id:1",
        correlation_id="c",
        type="ExecutionConfirmation",
        content_type="application/json",
    )

    properties = envelope.outgoing(replace(message, headers={"a": "b"}))

    assert properties.delivery_mode == 2
    assert (properties.message_id, properties.correlation_id, properties.type) == ("id:1", "c", "ExecutionConfirmation")
    assert (properties.content_type, properties.headers) == ("application/json", {"a": "b"})
