"""A line of an exported file is read back as what was written, and anything else is refused in a sentence."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.ledger import letter_file
from worker.ledger.desk import LetterState
from worker.ledger.letter_file import LetterInFile, letters_in, line_of

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
moments = st.datetimes(min_value=datetime(2, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis wants it naive
plain = st.recursive(
    texts | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
headers = st.dictionaries(texts, plain, max_size=3)
envelopes = st.fixed_dictionaries(
    {
        "exchange": texts,
        "routing_key": texts,
        **dict.fromkeys(("message_id", "correlation_id", "reply_to", "content_type"), texts | st.none()),
        "content_encoding": texts | st.none(),
        "headers": headers,
        "redelivered": st.booleans(),
    }
)
letters = st.fixed_dictionaries(
    {
        "letter_id": st.uuids(),
        "source_queue": texts,
        "account": texts | st.none(),
        "reason": st.from_regex(r"[a-z_]{1,64}", fullmatch=True),
        "detail": texts,
        "trade_id": texts | st.none(),
        "execution_id": st.uuids() | st.none(),
        "follows": st.uuids() | st.none(),
        "failed_at": moments,
        "content_digest": st.from_regex(r"[0-9a-f]{0,64}", fullmatch=True),
        "taken_in_at": moments,
        "taken_in_by": texts,
        "state": st.sampled_from(LetterState),
        "state_by": texts | st.none(),
        "state_reason": texts | st.none(),
        "state_at": moments | st.none(),
        "headers": headers,
        "envelope": envelopes,
        "body": st.binary(max_size=50),
    }
)

A_LETTER: dict[str, Any] = {
    "format": letter_file.FORMAT,
    "letter_id": str(uuid4()),
    "source_queue": "trades.dead",
    "account": None,
    "reason": "expired",
    "detail": "",
    **dict.fromkeys(("trade_id", "execution_id", "follows", "state_by", "state_reason", "state_at")),
    "failed_at": "2026-03-02T09:30:00+00:00",
    "content_digest": "",
    "taken_in_at": "2026-03-02T09:30:00+00:00",
    "taken_in_by": "host:1",
    "state": "new",
    "headers": {},
    "envelope": {
        **dict.fromkeys(("message_id", "correlation_id", "reply_to", "content_type", "content_encoding")),
        "exchange": "",
        "routing_key": "",
        "headers": {},
        "redelivered": False,
    },
    "body": "",
}


@given(st.lists(letters, max_size=3))
def test_what_is_written_is_read_back(written: list[dict[str, Any]]) -> None:
    lines = b"\n".join(map(line_of, written))

    read = [letter.model_dump(exclude={"format"}) for letter in _sound(lines)]

    assert read == written


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"format": "mt5-worker dead letter 2"}, "format: Input should be 'mt5-worker dead letter 1'"),
        ({"letter_id": "7"}, "letter_id: Input should be a valid UUID"),
        ({"body": "not base64!"}, "body: Value error, is not base64"),
        ({"state": "lost"}, "state: Input should be 'new'"),
        ({"failed_at": "2026-03-02T09:30:00"}, "failed_at: Input should have timezone info"),
        ({"failed_at": "0001-01-01T00:00:00+14:00"}, "failed_at: Value error, is beyond the calendar"),
        ({"reason": "BAD LUCK"}, "reason: String should match pattern"),
        ({"trade_id": "x" * 601}, "trade_id: String should have at most 600 characters"),
        ({"headers": {"a": float("inf")}}, "headers: Value error"),
        ({"headers": []}, "headers: Input should be an object"),
        ({"envelope": {**A_LETTER["envelope"], "redelivered": "yes"}}, "envelope.redelivered: Input should be a valid"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(changes: dict[str, Any], fault: str) -> None:
    [(number, found)] = letters_in(io.BytesIO(json.dumps(A_LETTER | changes).encode()))

    assert number == 1
    assert isinstance(found, str)
    assert found.startswith(fault)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(noise: bytes) -> None:
    for number, found in letters_in(io.BytesIO(noise)):
        assert number > 0
        assert isinstance(found, str)


def test_depth_is_limited() -> None:
    deep: Any = []
    for _ in range(500):
        deep = [deep]

    [(_, found)] = letters_in(io.BytesIO(json.dumps(A_LETTER | {"headers": {"a": deep}}).encode()))

    assert isinstance(found, str)
    assert "recursion limit" in found


def test_a_line_that_is_too_long_is_skipped_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    short = json.dumps(A_LETTER).encode()
    monkeypatch.setattr(letter_file, "MAX_LINE_BYTES", len(short) + 10)
    long = json.dumps(A_LETTER | {"body": base64.b64encode(b"x" * 9000).decode()}).encode()

    found = list(letters_in(io.BytesIO(b"\n".join([long, short, long, b"", short]))))

    assert [number for number, _ in found] == [1, 2, 3, 5]
    assert [isinstance(letter, str) for _, letter in found] == [True, False, True, False]


def _sound(lines: bytes) -> list[LetterInFile]:
    found = [letter for _, letter in letters_in(io.BytesIO(lines))]
    assert all(isinstance(letter, LetterInFile) for letter in found), found
    return [letter for letter in found if isinstance(letter, LetterInFile)]
