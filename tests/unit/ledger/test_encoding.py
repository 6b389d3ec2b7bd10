"""Values on their way to PostgreSQL keep their exact value, and never carry what it cannot store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.ledger.encoding import clean, rows_as_json

ANY_TEXT = st.text(st.characters(), max_size=30)
GOOD_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


def test_exact_values_are_written_as_exact_text() -> None:
    row = {
        "lots": Decimal("0.10"),
        "at": datetime(2026, 1, 5, 12, 0, 0, 1, tzinfo=UTC),
        "id": UUID(int=1),
    }

    (read,) = json.loads(rows_as_json([row]))

    assert read == {
        "lots": "0.10",
        "at": "2026-01-05T12:00:00.000001Z",
        "id": "00000000-0000-0000-0000-000000000001",
    }


@given(GOOD_TEXT)
def test_a_text_that_postgresql_can_store_is_not_touched(text: str) -> None:
    assert clean(text) == text
    assert json.loads(rows_as_json([{text: [text]}])) == [{text: [text]}]


@given(ANY_TEXT)
def test_any_other_text_becomes_one_that_it_can_store(text: str) -> None:
    ((key, (value,)),) = json.loads(rows_as_json([{text: [text]}]))[0].items()

    for cleaned in (clean(text), key, value):
        cleaned.encode()
        assert "\0" not in cleaned


@pytest.mark.parametrize("value", [object(), b"\xff"])
def test_what_has_no_exact_text_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=f"{type(value).__name__} cannot be written to the ledger"):
        rows_as_json([{"x": value}])
