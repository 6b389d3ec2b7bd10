"""Whatever happens to an exported file is found, and where."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.chain import a_chain
from tests.fixtures.exports import Export, a_witness, exported, flipped, judged
from tests.fixtures.worker_process import ROOT
from worker.ledger.audit import AuditRow, Witness
from worker.ledger.exported.codec import HEADS, Format, encode
from worker.ledger.exported.verification import Coverage
from worker.ports import Anchor

CHAIN = a_chain(12, actor='ann\n"x"')
OTHER = a_chain(3, "other")
WHOLE = {form: exported([*CHAIN, *OTHER], form) for form in Format}
STRETCH = {form: exported(CHAIN[3:9], form, heads=CHAIN[-1:], **{"from": "x", "to": "y"}) for form in Format}
SELECTION = {
    form: exported([CHAIN[place] for place in (1, 2, 5, 6, 9)], form, heads=CHAIN[-1:], symbol="EURUSD")
    for form in Format
}
EXPORTS = [*WHOLE.values(), *STRETCH.values(), *SELECTION.values()]
ALL = pytest.mark.parametrize("export", EXPORTS, ids=lambda one: f"{one.form}-{len(one.lines)}")


def line_of(export: Export, place: int) -> int:
    """Return the line that the n-th event begins in, from 0."""
    height = 1 if export.form is Format.JSONL else 2  # its actor has two lines
    return height * place + (1 if export.form is Format.JSONL else 2)


@ALL
@pytest.mark.parametrize("with_manifest", [True, False])
def test_an_untouched_file_holds(export: Export, *, with_manifest: bool) -> None:
    verdict = judged(export, with_manifest=with_manifest or export in SELECTION.values())

    assert verdict.defect is None
    assert verdict.events == export.manifest.contents.events
    assert verdict.sha256 == export.manifest.contents.sha256


def test_what_it_proves_depends_on_what_it_holds() -> None:
    assert judged(WHOLE[Format.CSV]).coverage is Coverage.WHOLE
    assert judged(WHOLE[Format.CSV], with_manifest=False).coverage is Coverage.STRETCH  # its end may be cut off
    assert judged(STRETCH[Format.CSV]).coverage is Coverage.STRETCH
    assert judged(SELECTION[Format.CSV]).coverage is Coverage.SELECTION


@given(st.sampled_from(EXPORTS), st.data())
def test_one_flipped_bit_is_found_in_its_event(export: Export, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(export.text) - 1), label="bit")

    defect = judged(export, flipped(export.text, bit)).defect

    assert defect is not None
    line = export.text[: bit // 8].count(b"\n") + 1
    first = line if export.form is Format.JSONL else max(1, line - line % 2)  # of its event, but for `OTHER`'s
    assert defect.line in {first, line}


@given(st.sampled_from([*WHOLE.values(), *STRETCH.values()]), st.data())
def test_no_manifest_is_needed_for_that(export: Export, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(export.text) - 1), label="bit")

    assert judged(export, flipped(export.text, bit), with_manifest=False).defect is not None


@ALL
@pytest.mark.parametrize(
    "column", ["account", "at", "actor", "kind", "execution_id", "payload", "previous_hash", "hash"]
)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_changed_value_is_found_in_its_line(export: Export, column: str, place: int) -> None:
    rows = the_rows_of(export)
    changes: dict[str, Any] = {column: f"{getattr(rows[place], column)}."}

    defect = judged(
        export, rewritten(export, [*rows[:place], replace(rows[place], **changes), *rows[place + 1 :]])
    ).defect

    assert defect is not None
    assert defect.line == line_of(export, place)


@ALL
@pytest.mark.parametrize("place", [0, 1, 2, 3, 4])
def test_a_removed_event_is_found_where_it_was(export: Export, place: int) -> None:
    rows = the_rows_of(export)

    defect = judged(export, rewritten(export, rows[:place] + rows[place + 1 :])).defect

    assert defect is not None
    assert defect.line == line_of(export, place)


@ALL
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_doubled_event_is_found_where_it_is(export: Export, place: int) -> None:
    rows = the_rows_of(export)

    defect = judged(export, rewritten(export, [*rows[: place + 1], *rows[place:]])).defect

    assert defect is not None
    assert defect.line == line_of(export, place + 1)


@ALL
@pytest.mark.parametrize("place", [0, 2, 3])
def test_two_events_that_changed_places_are_found(export: Export, place: int) -> None:
    rows = the_rows_of(export)
    rows[place], rows[place + 1] = rows[place + 1], rows[place]

    defect = judged(export, rewritten(export, rows)).defect

    assert defect is not None
    assert line_of(export, place) <= defect.line <= line_of(export, place + 1)


@pytest.mark.parametrize("export", [*STRETCH.values(), *SELECTION.values()], ids=lambda one: one.form)
def test_an_added_event_of_the_real_chain_is_found(export: Export) -> None:
    rows = the_rows_of(export)

    defect = judged(export, rewritten(export, [*rows, CHAIN[10]])).defect
    assert defect is not None
    assert defect.line == line_of(export, len(rows))
    assert "event 11" in defect.problem

    defect = judged(export, rewritten(export, [CHAIN[0], *rows])).defect
    assert defect is not None
    assert defect.line == line_of(export, 0)
    assert "event 1 was added" in defect.problem


def test_an_event_slipped_into_a_gap_is_found_in_its_line() -> None:
    export = SELECTION[Format.JSONL]
    rows = the_rows_of(export)

    defect = judged(export, rewritten(export, [*rows[:2], CHAIN[4], *rows[2:]])).defect

    assert defect is not None
    assert defect.line == 3
    assert "changed, removed or added in the lines 3 to 3" in defect.problem


@ALL
def test_a_file_that_was_cut_off_is_found_wherever_that_was(export: Export) -> None:
    for size in range(0, len(export.text), 97):
        defect = judged(export, export.text[:size]).defect

        assert defect is not None
        assert defect.line <= export.text[:size].count(b"\n") + 1


@ALL
def test_what_was_cut_off_between_two_lines_is_named(export: Export) -> None:
    rows = the_rows_of(export)

    defect = judged(export, rewritten(export, rows[:-1])).defect

    assert defect is not None
    assert f"the manifest says that event {rows[-1].sequence} is the last one" in defect.problem


def test_without_a_manifest_an_end_that_was_cut_off_does_not_show() -> None:
    export = WHOLE[Format.JSONL]

    assert judged(export, rewritten(export, CHAIN[:5]), with_manifest=False).defect is None
    assert judged(export, b"", with_manifest=False).defect is not None


def test_without_a_manifest_a_gap_is_a_fault() -> None:
    defect = judged(SELECTION[Format.JSONL], with_manifest=False).defect

    assert defect is not None
    assert (defect.line, defect.account, defect.sequence) == (3, "main", 6)
    assert defect.problem == "events 4 to 5 are missing: the next one is event 6"


def test_an_export_of_nothing_is_empty() -> None:
    for form in Format:
        export = exported([], form, heads=CHAIN[-1:], trade="x")
        assert judged(export).defect is None
        assert judged(export, rewritten(export, CHAIN[3:4])).defect is not None
    assert judged(exported([])).defect is None


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([*CHAIN], "account other: events 1 to 3 are missing"),
        ([*OTHER], "account main: events 1 to 12 are missing"),
        ([*OTHER, *CHAIN], "account main: events 1 to 12 are missing"),
        ([*CHAIN, *OTHER, *a_chain(1, "third")], "event 1 was added: the manifest has no account third"),
        ([*CHAIN, *OTHER[:2], *CHAIN[:1], *OTHER[2:]], "account other: event 3 is missing"),
    ],
)
def test_accounts_come_as_the_manifest_says(rows: list[AuditRow], problem: str) -> None:
    defect = judged(WHOLE[Format.JSONL], rewritten(WHOLE[Format.JSONL], rows)).defect

    assert defect is not None
    assert defect.problem.startswith(problem)


def test_without_a_manifest_accounts_come_in_order() -> None:
    export = WHOLE[Format.JSONL]

    defect = judged(export, rewritten(export, [*OTHER, *CHAIN]), with_manifest=False).defect

    assert defect is not None
    assert defect.problem == "event 1 of account main was moved: it comes after account other"


class TestTheLedgerItself:
    """An export of a ledger that was tampered with before is no better than the ledger."""

    @pytest.mark.parametrize(
        ("rows", "heads", "problem"),
        [
            ([*CHAIN[:4], *CHAIN[5:]], [], "event 5 is missing: the next one is event 6"),
            (CHAIN[2:], [], "events 1 to 2 are missing: the next one is event 3"),
            (CHAIN[:9], CHAIN[11:], "account main: events 10 to 12 are missing: the account's own row says"),
            ([], CHAIN[11:], "account main: events 1 to 12 are missing: the account's own row says"),
        ],
    )
    def test_what_was_missing_there_is_missing_here(
        self, rows: list[AuditRow], heads: list[AuditRow], problem: str
    ) -> None:
        defect = judged(exported(rows, heads=heads)).defect

        assert defect is not None
        assert defect.problem.startswith(problem)

    def test_an_event_that_was_changed_there_is_changed_here(self) -> None:
        rows = [*CHAIN[:4], replace(CHAIN[4], actor="nobody"), *CHAIN[5:]]

        defect = judged(exported(rows)).defect

        assert defect is not None
        assert defect.problem == "event 5 was changed: its content does not match its hash"


class TestSubscribersAnchors:
    def test_they_agree_with_the_events_they_are_of(self) -> None:
        verdict = judged(WHOLE[Format.CSV], None, *map(a_witness, CHAIN))

        assert (verdict.defect, verdict.witnesses, verdict.elsewhere) == (None, 12, 0)

    def test_those_of_other_events_prove_nothing(self) -> None:
        later = Witness(Anchor(99, "f" * 64), "c:1")

        verdict = judged(STRETCH[Format.JSONL], None, a_witness(CHAIN[0]), a_witness(CHAIN[5]), later)

        assert (verdict.defect, verdict.witnesses, verdict.elsewhere) == (None, 1, 2)

    def test_an_event_also_proves_the_one_before_it(self) -> None:
        """Given a selection of one trade: a confirmation's own event names the anchor that went out with it."""
        verdict = judged(SELECTION[Format.JSONL], None, a_witness(CHAIN[4]), a_witness(CHAIN[0]))

        assert (verdict.defect, verdict.witnesses, verdict.elsewhere) == (None, 2, 0)

    @pytest.mark.parametrize("exports", [WHOLE, STRETCH, SELECTION])
    def test_a_chain_that_was_made_anew_contradicts_them(self, exports: dict[Format, Export]) -> None:
        for form, export in exports.items():
            forged = a_chain(12, actor="forger")
            rows = [forged[row.sequence - 1] for row in the_rows_of(export) if row.account == "main"]
            filters = {name: value for name, value in export.manifest.filters.items() if value}
            anew = exported(rows, form, heads=forged[-1:], **filters)

            assert judged(anew).defect is None

            defect = judged(anew, None, a_witness(CHAIN[5], "the-confirmation:1")).defect
            assert defect is not None
            assert "confirmation the-confirmation:1 names another hash for it" in defect.problem


def the_rows_of(export: Export) -> list[AuditRow]:
    every = {(row.account, encode(row, export.form)): row for row in [*CHAIN, *OTHER]}
    return [row for (_, text), row in every.items() if text in export.text]


def rewritten(export: Export, rows: list[AuditRow]) -> bytes:
    return HEADS[export.form] + b"".join(encode(row, export.form) for row in rows)


def test_it_needs_no_database_driver() -> None:
    code = "import sys, worker.ledger.exported.verification; sys.exit('psycopg' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
