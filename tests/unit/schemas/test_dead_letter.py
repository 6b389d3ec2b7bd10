"""Dead-letter headers: always small enough, always readable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_letter import MAX_STACK_BYTES, DeadLetterHeaders, DeadLetterReason, cut_to

ONE_FRAME = 128 * 1024
NAMES = [
    "failure-reason",
    "failure-detail",
    "failure-exception",
    "failure-stack",
    "failed-at",
    "first-failed-at",
    "failure-attempt",
    "worker-id",
    "worker-version",
    "account",
    "trade-id",
    "execution-id",
    "original-exchange",
    "original-routing-key",
    "original-message-id",
    "replay-id",
]


def test_the_headers_have_the_names_of_the_contract() -> None:
    everything = dict.fromkeys(NAMES, "x") | {"failure-reason": "expired"}

    assert DeadLetterHeaders.from_headers(everything).to_headers() == everything


def test_what_is_unknown_is_left_out() -> None:
    headers = DeadLetterHeaders(failure_reason=DeadLetterReason.MALFORMED_JSON, failure_detail="not JSON")

    assert headers.to_headers() == {"failure-reason": "malformed_json", "failure-detail": "not JSON"}


def test_all_headers_at_their_longest_fit_one_frame() -> None:
    endless = "\N{GRINNING FACE}" * 100_000
    headers = DeadLetterHeaders.from_headers(dict.fromkeys(NAMES, endless)).to_headers()

    assert sum(len(name) + len(value.encode()) + 6 for name, value in headers.items()) < ONE_FRAME / 4


def test_a_long_stack_shows_that_it_was_cut() -> None:
    headers = DeadLetterHeaders(failure_reason=DeadLetterReason.INTERNAL_ERROR, failure_stack="line\n" * 10_000)

    assert headers.failure_stack is not None
    assert headers.failure_stack.endswith("[cut]")
    assert len(headers.failure_stack.encode()) <= MAX_STACK_BYTES


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        ("delivery_limit", "delivery_limit"),
        ("expired", "expired"),
        ("rejected", "internal_error"),
        ([], "internal_error"),
    ],
)
def test_what_rabbitmq_dead_lettered_itself_has_its_reason(theirs: object, reason: str) -> None:
    headers = DeadLetterHeaders.from_headers({"x-first-death-reason": theirs, "x-death": [{"count": 1}]})

    assert headers.failure_reason == reason


@given(st.text(), st.integers(min_value=20, max_value=200))
def test_cut_text_fits_and_keeps_its_beginning(text: str, limit: int) -> None:
    cut = cut_to(limit, text)

    assert len(cut.encode()) <= limit
    assert "\x00" not in cut
    assert cut.endswith("[cut]") or len(cut) == len(text)


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(), st.text() | st.integers() | st.none() | st.lists(st.text())))
def test_headers_from_anywhere_are_read_without_error(headers: dict[str, object]) -> None:
    read = DeadLetterHeaders.from_headers(headers)

    assert DeadLetterHeaders.from_headers(read.to_headers()) == read
