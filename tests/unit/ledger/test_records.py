"""Domain values go into rows and come back as they were."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.message import IncomingMessage, MessageKind, OutgoingMessage
from worker.ledger.confirmations import ReplyAddress, reply_address
from worker.ledger.records import envelope, json_value, message_from, outgoing_from, outgoing_row
from worker.ledger.refuse import content_digest

TEXTS = st.none() | st.text(max_size=10)


@given(st.binary(max_size=20), TEXTS, TEXTS, TEXTS, st.dictionaries(st.text(max_size=5), st.text() | st.integers()))
def test_an_incoming_message_comes_back_as_it_was(
    body: bytes, message_id: str | None, correlation_id: str | None, reply_to: str | None, headers: dict[str, Any]
) -> None:
    message = IncomingMessage(
        body, "trades", "key", message_id=message_id, correlation_id=correlation_id, reply_to=reply_to, headers=headers
    )

    assert message_from(message.body, envelope(message)) == message


def test_an_outgoing_message_comes_back_as_it_was() -> None:
    message = OutgoingMessage(MessageKind.REPLAY, "trades", "key", b"{}", "m", "c", "r", "t", "ct", {"replay-id": "1"})

    assert outgoing_from(outgoing_row(message)) == message


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (b"\xff", "\\xff"),
        (1.5, "1.5"),
        (Decimal("1.50"), "1.50"),
        (datetime(2026, 1, 5, tzinfo=UTC), "2026-01-05 00:00:00+00:00"),
        ({"x": [1, None, True, (b"a",)]}, {"x": [1, None, True, ["a"]]}),
    ],
)
def test_header_values_are_stored_as_json_holds_them(value: object, stored: object) -> None:
    assert json_value(value) == stored


@pytest.mark.parametrize(
    ("properties", "correlation"),
    [
        ({"correlation_id": "c", "message_id": "m"}, "c"),
        ({"message_id": "m"}, "m"),
        ({}, "RPM-1"),
    ],
)
def test_a_reply_goes_out_under_the_first_correlation_its_sender_gave(
    properties: dict[str, str], correlation: str
) -> None:
    message = IncomingMessage(b"{}", reply_to="desk", **properties)  # type: ignore[arg-type]

    assert reply_address(message, "RPM-1") == ReplyAddress("desk", correlation)


def test_a_message_without_a_reply_queue_wants_no_copy() -> None:
    assert reply_address(IncomingMessage(b"{}", correlation_id="c"), "RPM-1") is None


def test_a_redelivery_is_recognised_by_all_but_what_the_broker_adds() -> None:
    first = IncomingMessage(b"{", message_id="m", headers={"a": "1"})
    again = IncomingMessage(b"{", message_id="m", headers={"a": "1", "x-delivery-count": 2}, redelivered=True)
    replayed = IncomingMessage(b"{", message_id="m", headers={"a": "1", "replay-id": str(uuid4())})

    assert content_digest(first) == content_digest(again)
    assert len({content_digest(first), content_digest(replayed), content_digest(IncomingMessage(b"{"))}) == 3
