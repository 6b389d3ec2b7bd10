"""What a delivery from a dead-letter queue is read as."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letter import DeadLetterHeaders, DeadLetterReason
from worker.domain.message import IncomingMessage
from worker.messaging.dead_letters import content_digest, read_letter

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
plain = st.recursive(
    texts | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = texts | st.sampled_from(["x-death", "failure-reason", "failed-at", "execution-id", "x-first-death-reason"])
messages = st.builds(
    IncomingMessage,
    body=st.binary(max_size=30),
    exchange=texts,
    routing_key=texts,
    message_id=texts | st.none(),
    headers=st.dictionaries(names, plain, max_size=4),
    redelivered=st.booleans(),
)
DELIVERY_LIMIT_DEATH = {
    "reason": "delivery_limit",
    "queue": "trades.approved.main",
    "exchange": "trades",
    "routing-keys": ["approved.main.EURUSD"],
    "time": "2026-03-02T09:30:00+00:00",
    "count": 1,
}


@given(messages, st.sampled_from(["trades.dead", "trades.unroutable"]))
def test_any_message_can_be_read(message: IncomingMessage, queue: str) -> None:
    letter = read_letter(queue, message)

    assert letter.message.body == message.body
    assert letter.reason
    assert letter.detail is not None
    assert letter.failed_at is None or letter.failed_at.tzinfo is not None


@given(messages)
def test_a_redelivery_has_the_digest_of_its_first_delivery(message: IncomingMessage) -> None:
    again = replace(message, redelivered=True, headers={**message.headers, "x-delivery-count": 3})

    assert content_digest(again) == content_digest(replace(message, redelivered=False))
    assert read_letter("trades.unroutable", again).letter_id == read_letter("trades.unroutable", again).letter_id


@given(messages, messages)
def test_different_messages_have_different_digests(one: IncomingMessage, other: IncomingMessage) -> None:
    same = replace(one, redelivered=False) == replace(other, redelivered=False)

    assert (content_digest(one) == content_digest(other)) == same


def test_two_equal_messages_are_two_letters() -> None:
    message = IncomingMessage(body=b"{}", routing_key="approved.nobody.EURUSD")

    assert read_letter("trades.unroutable", message).letter_id != read_letter("trades.unroutable", message).letter_id


def test_rabbitmqs_own_word_counts_even_for_a_message_that_failed_before() -> None:
    before = DeadLetterHeaders(failure_reason=DeadLetterReason.NETWORK_ERROR, account="main").to_headers()
    replayed = IncomingMessage(
        body=b"{}", message_id=str(uuid4()), headers={**before, "x-death": [DELIVERY_LIMIT_DEATH]}
    )

    letter = read_letter("trades.dead", replayed)

    assert (letter.reason, letter.account) == ("delivery_limit", "main")
    assert (letter.message.exchange, letter.message.routing_key) == ("trades", "approved.main.EURUSD")
    assert letter.letter_id != UUID(str(replayed.message_id))


@pytest.mark.parametrize("word", ["rejected", "maxlen", "new in RabbitMQ 5"])
def test_what_rabbitmq_is_not_expected_to_do_is_an_internal_error_that_says_so(word: str) -> None:
    death = {**DELIVERY_LIMIT_DEATH, "reason": word}

    letter = read_letter("trades.dead", IncomingMessage(body=b"{}", headers={"x-death": [death]}))

    assert letter.reason == "internal_error"
    assert letter.detail


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "yesterday"])
def test_a_time_that_no_calendar_has_is_no_time(text: str) -> None:
    headers = DeadLetterHeaders(failure_reason=DeadLetterReason.NETWORK_ERROR, failed_at=text).to_headers()

    assert read_letter("trades.dead", IncomingMessage(body=b"{}", headers=headers)).failed_at is None


def test_a_stranger_in_the_dead_letter_queue_is_kept_too() -> None:
    letter = read_letter("trades.dead", IncomingMessage(body=b"?", routing_key="hello"))

    assert (letter.reason, letter.account) == ("internal_error", None)
    assert "without a word about why" in letter.detail
