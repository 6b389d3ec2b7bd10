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

from tests.fixtures.chain import first_fault
from worker.ledger.audit import GENESIS, AuditRow, Chain, Fault, Witness, hash_of, seal
from worker.ports import Anchor, Event

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


def a_chain(length: int = 4) -> list[AuditRow]:
    rows: list[AuditRow] = []
    for number in range(length):
        head = rows[-1].anchor if rows else GENESIS
        rows.append(seal("main", head, Event("settled", {"number": number}, uuid4()), NOON))
    return rows


def _end(rows: Sequence[AuditRow], head: Anchor, witnesses: Sequence[Witness] = ()) -> Fault | None:
    chain = Chain("main", witnesses)
    return next((fault for row in rows if (fault := chain.follow(row))), None) or chain.end(head)


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
    [([0, 1, 3], 3), ([1, 2, 3], 1), ([0, 2, 1, 3], 2), ([0, 1, 1, 2], 2), ([3, 2, 1, 0], 1)],
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
    assert fault.problem == "event 3, or the one before it, was replaced: it does not name that one's hash"


def test_missing_events_are_named() -> None:
    rows = a_chain(6)

    assert first_fault([rows[0], *rows[2:]]) == Fault("main", 2, "event 2 is missing: the next one is event 3")
    assert first_fault([rows[0], *rows[4:]]) == Fault("main", 2, "events 2 to 4 are missing: the next one is event 5")


class TestTheEnd:
    """The account's own row says where the chain ends."""

    def test_it_is_where_the_account_says(self) -> None:
        assert _end(a_chain(), head=a_chain()[-1].anchor) is not None  # another chain: its executions are others
        rows = a_chain()
        assert _end(rows, head=rows[-1].anchor) is None
        assert _end([], head=GENESIS) is None

    def test_an_end_that_was_cut_off_is_missing(self) -> None:
        rows = a_chain()

        fault = _end(rows[:2], head=rows[-1].anchor)

        assert fault == Fault(
            "main", 3, "events 3 to 4 are missing: the account's own row says that event 4 is the last one"
        )

    def test_an_event_that_was_added_rightly_sealed_is_beyond_it(self) -> None:
        rows = a_chain()

        fault = _end(rows, head=rows[2].anchor)

        assert fault == Fault("main", 4, "event 4 was added: the account's own row says that event 3 is the last one")

    def test_an_account_s_row_that_was_changed_does_not_fit(self) -> None:
        rows = a_chain()

        fault = _end(rows, head=replace(rows[-1].anchor, hash="0" * 64))

        assert fault == Fault(
            "main", 4, "event 4 was replaced, or the account's own row changed: it names another hash"
        )


class TestWitnesses:
    """What subscribers hold shows what an owner of the database can hide."""

    def test_copies_of_an_untouched_chain_agree(self) -> None:
        rows = a_chain()
        told = [Witness(row.anchor, "b:1") for row in rows[:-1]]
        witnesses = [Witness(GENESIS, "a:1"), *told, Witness(GENESIS, "c:1")]

        assert _end(rows, head=rows[-1].anchor, witnesses=witnesses) is None

    def test_a_chain_rewritten_as_a_whole_contradicts_the_first_of_them(self) -> None:
        real, forged = a_chain(), a_chain()
        witnesses = [Witness(real[number].anchor, f"x:{number}") for number in (1, 2)]

        fault = _end(forged, head=forged[-1].anchor, witnesses=witnesses)

        assert fault == Fault(
            "main", 2, "event 2, or one before it, was rewritten: confirmation x:1 names another hash for it"
        )

    def test_two_copies_that_contradict_each_other_cannot_both_agree(self) -> None:
        rows = a_chain()
        witnesses = [Witness(rows[1].anchor, "x:1"), Witness(Anchor(2, "f" * 64), "y:1")]

        fault = _end(rows, head=rows[-1].anchor, witnesses=witnesses)

        assert fault is not None
        assert (fault.sequence, "confirmation y:1" in fault.problem) == (2, True)

    def test_an_end_cut_off_with_its_head_is_missed_by_a_copy_from_after_it(self) -> None:
        rows = a_chain()

        fault = _end(rows[:2], head=rows[1].anchor, witnesses=[Witness(rows[3].anchor, "x:1")])

        assert fault == Fault("main", 3, "events 3 to 5 are missing: confirmation x:1 was made with event 5")

    @pytest.mark.parametrize("kept", [0, 3])
    def test_a_copy_misses_the_event_of_its_own_confirmation(self, kept: int) -> None:
        rows = a_chain(kept)
        head = rows[-1].anchor if rows else GENESIS

        fault = _end(rows, head=head, witnesses=[Witness(head, "x:1")])

        own = kept + 1
        assert fault == Fault("main", own, f"event {own} is missing: confirmation x:1 was made with event {own}")


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_texts_that_move_between_neighbouring_columns_change_the_hash(a: str, b: str, c: str, d: str) -> None:
    one, other = (AuditRow("main", 1, "t", actor, kind, None, "{}", "0" * 64) for actor, kind in ((a, b), (c, d)))

    assert (hash_of(one) == hash_of(other)) == ((a, b) == (c, d))


def test_a_missing_value_is_not_an_empty_one() -> None:
    row = AuditRow("main", 1, "t", "worker", "x", None, "{}", "0" * 64)

    assert hash_of(row) != hash_of(replace(row, execution_id=""))
