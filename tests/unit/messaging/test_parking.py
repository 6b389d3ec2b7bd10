"""What is parked comes back as it was."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.message import IncomingMessage, OutgoingMessage
from worker.messaging.envelope import outgoing
from worker.messaging.parking import ENVELOPE_BYTES, Parked, parked, read_parked

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
plain = st.recursive(
    texts | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
messages = st.builds(
    IncomingMessage,
    body=st.binary(max_size=30),
    exchange=texts,
    routing_key=texts,
    message_id=texts | st.none(),
    correlation_id=texts | st.none(),
    reply_to=texts | st.none(),
    content_type=texts | st.none(),
    content_encoding=texts | st.none(),
    headers=st.dictionaries(texts, plain, max_size=4),
    redelivered=st.booleans(),
)


@given(st.uuids(), st.sampled_from(["trades.dead", "trades.unroutable"]), messages, texts)
def test_what_is_parked_comes_back_as_it_was(letter_id: UUID, queue: str, message: IncomingMessage, why: str) -> None:
    sent = parked(letter_id, queue, message, why)

    outgoing(sent)  # AMQP can carry it
    assert read_parked(_delivered(sent)) == Parked(letter_id, queue, message)


def test_headers_that_would_not_fit_a_frame_again_are_no_hindrance() -> None:
    huge = IncomingMessage(body=b"{}", headers={f"h{number}": '"' * 3000 for number in range(40)})

    sent = parked(uuid4(), "trades.unroutable", huge, "too deep")

    outgoing(sent)
    known = read_parked(_delivered(sent))
    assert known is not None
    assert known.message == huge


def test_no_header_of_the_sender_is_a_header_of_the_parked_message() -> None:
    hostile = IncomingMessage(body=b"{}", headers={"CC": ["trades.approved.main"], "x-delay": 5, "replay-id": "1"})

    assert parked(uuid4(), "trades.dead", hostile, "too deep").headers.keys() == {"parked-because", ENVELOPE_BYTES}


@pytest.mark.parametrize(
    "envelope",
    [
        "",
        "[]",
        "{}",
        "1e999",
        "[" * 100_000,
        json.dumps({"letter_id": "x", "queue": "q", "exchange": "", "routing_key": "", "message_id": None}),
        json.dumps(
            {
                "letter_id": str(uuid4()),
                "queue": "q",
                "exchange": 7,
                "routing_key": "",
                "message_id": None,
                "redelivered": False,
                "headers": [],
            }
        ),
    ],
)
def test_what_only_looks_parked_is_a_message_like_any_other(envelope: str) -> None:
    body, size = envelope.encode() + b"\n{}", str(len(envelope))

    assert read_parked(IncomingMessage(body, headers={ENVELOPE_BYTES: size})) is None
    assert read_parked(IncomingMessage(body, headers={ENVELOPE_BYTES: "-x"})) is None


def _delivered(sent: OutgoingMessage) -> IncomingMessage:
    properties: dict[str, Any] = {
        name: getattr(sent, name)
        for name in ("body", "message_id", "correlation_id", "reply_to", "content_type", "content_encoding")
    }
    return IncomingMessage(routing_key=sent.routing_key, headers=dict(sent.headers), redelivered=True, **properties)
