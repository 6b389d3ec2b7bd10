"""The hash chain: any change to any event shows, at the first event that was touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.ledger.audit import GENESIS, AuditRow, first_fault, hash_of, seal
from worker.ports import Event

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


def a_chain(length: int = 4) -> list[AuditRow]:
    rows: list[AuditRow] = []
    for number in range(length):
        head = rows[-1].anchor if rows else GENESIS
        rows.append(seal("main", head, Event("settled", {"number": number}, uuid4()), NOON))
    return rows


def test_a_chain_that_nobody_touched_holds_from_the_beginning_and_from_any_anchor() -> None:
    rows = a_chain()

    assert first_fault(rows) is None
    assert first_fault(rows[2:], after=rows[1].anchor) is None
    assert first_fault([]) is None


def test_an_event_is_sealed_as_exact_text_with_microseconds() -> None:
    row = seal("main", GENESIS, Event("x", {"lots": Decimal("0.10"), "text": "ü\0"}, actor="ann\udc80"), NOON)

    assert row.at == "2026-01-05T12:00:00.000000+00:00"
    assert row.payload == '{"lots":"0.10","text":"\\u00fc\\u0000"}'
    assert row.actor == "ann\N{REPLACEMENT CHARACTER}"
    assert (row.sequence, row.previous_hash, row.execution_id) == (1, "0" * 64, None)


@pytest.mark.parametrize(
    "column", ["account", "at", "actor", "kind", "execution_id", "payload", "previous_hash", "hash"]
)
def test_a_change_to_any_column_is_found_at_its_row(column: str) -> None:
    rows = a_chain()
    changes: dict[str, Any] = {column: f"{getattr(rows[2], column)}."}
    rows[2] = replace(rows[2], **changes)

    fault = first_fault(rows)

    assert fault is not None
    assert fault.sequence == 3


@pytest.mark.parametrize(
    ("rearranged", "sequence"),
    [([0, 1, 3], 4), ([1, 2, 3], 2), ([0, 2, 1, 3], 3), ([0, 1, 1, 2], 2), ([3, 2, 1, 0], 4)],
)
def test_a_missing_doubled_or_moved_event_is_found(rearranged: Sequence[int], sequence: int) -> None:
    rows = a_chain()

    fault = first_fault([rows[place] for place in rearranged])

    assert fault is not None
    assert fault.sequence == sequence


def test_an_end_that_was_forged_with_right_hashes_does_not_follow_from_the_real_anchor() -> None:
    real, forged = a_chain(4), a_chain(4)

    fault = first_fault(forged[2:], after=real[1].anchor)

    assert fault is not None
    assert fault.problem == "it does not name the hash of the event before it"


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_texts_that_move_between_neighbouring_columns_change_the_hash(a: str, b: str, c: str, d: str) -> None:
    one, other = (AuditRow("main", 1, "t", actor, kind, None, "{}", "0" * 64) for actor, kind in ((a, b), (c, d)))

    assert (hash_of(one) == hash_of(other)) == ((a, b) == (c, d))


def test_a_missing_value_is_not_an_empty_one() -> None:
    row = AuditRow("main", 1, "t", "worker", "x", None, "{}", "0" * 64)

    assert hash_of(row) != hash_of(replace(row, execution_id=""))
