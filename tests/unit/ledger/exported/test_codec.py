"""Events survive their way through a file, to the letter, and nothing else passes for one."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.chain import a_chain
from worker.ledger.audit import AuditRow
from worker.ledger.exported import codec
from worker.ledger.exported.codec import HEADS, Format, Unreadable, decode, encode, read_entries

TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from('",\n\r\0\\\u2028'), max_size=12)
ROWS = st.builds(
    AuditRow, TEXTS, st.integers(-(2**63), 2**63 - 1), TEXTS, TEXTS, TEXTS, st.none() | TEXTS, TEXTS, TEXTS, TEXTS
)
FORMS = pytest.mark.parametrize("form", Format)


def the_rows_in(text: bytes, form: Format) -> Sequence[AuditRow]:
    return [entry.row for entry in read_entries(io.BytesIO(text), form)]


def the_place_of(text: bytes, form: Format) -> int:
    with pytest.raises(Unreadable) as unreadable:
        the_rows_in(text, form)
    return unreadable.value.line


@FORMS
@given(st.lists(ROWS, max_size=4))
def test_what_is_written_is_read_again(form: Format, rows: list[AuditRow]) -> None:
    text = HEADS[form] + b"".join(encode(row, form) for row in rows)

    assert the_rows_in(text, form) == rows


@given(ROWS)
def test_any_program_can_read_the_csv(row: AuditRow) -> None:
    text = (HEADS[Format.CSV] + encode(row, Format.CSV)).decode()

    header, values = csv.reader(io.StringIO(text, newline=""))

    assert values == ["" if value is None else str(value) for value in astuple(row)]
    assert ",".join(header).encode() + b"\n" == HEADS[Format.CSV]


@FORMS
def test_an_event_knows_the_line_that_it_begins_in(form: Format) -> None:
    rows = a_chain(3, actor='a\n"b"\n')
    text = HEADS[form] + b"".join(encode(row, form) for row in rows)

    lines = [entry.line for entry in read_entries(io.BytesIO(text), form)]

    assert lines == ([1, 2, 3] if form is Format.JSONL else [2, 5, 8])


@FORMS
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1],  # no end
        lambda _: b"\n",
        lambda text: b" " + text,
        lambda text: text.replace(b"main", b"m\xffin"),
        lambda text: text[:30] + b"\n",
        lambda text: text.replace(b'"main"', b"5"),
        lambda text: text.replace(b'"main"', b"null"),
        lambda text: text.replace(b"settled", b'"'),
        lambda text: text.replace(b"\n", b"\r\n"),
    ],
)  # fmt: skip
def test_what_an_export_does_not_write_is_no_event(form: Format, spoil: Callable[[bytes], bytes]) -> None:
    first, second = (encode(row, form) for row in a_chain(2))
    spoilt = spoil(second)

    assert the_place_of(HEADS[form] + first + spoilt, form) == (2 if form is Format.JSONL else 3)


@pytest.mark.parametrize(
    "line",
    [
        b"[]\n",
        b"null\n",
        b"{}\n",
        b'"\\ud800"\n',
        b"[" * 100_000 + b"\n",
        b"1" * 5000 + b"\n",
        encode(a_chain(1)[0], Format.JSONL).replace(b'"main"', b'"\\ud800"'),
        encode(a_chain(1)[0], Format.JSONL).replace(b": 1,", b": true,"),
        encode(a_chain(1)[0], Format.JSONL).replace(b'{"account"', b'{"account": "x", "account"'),
        encode(a_chain(1)[0], Format.JSONL).replace(b'{"account"', b'{"extra": 1, "account"'),
        encode(a_chain(1)[0], Format.JSONL).replace(b": ", b":"),
        encode(a_chain(1)[0], Format.JSONL).replace(b"main", b"m\xc3\xa4in"),
    ],
    ids=range(12),
)
def test_other_json_is_no_event(line: bytes) -> None:
    assert the_place_of(line, Format.JSONL) == 1


def test_a_wrong_header_is_told() -> None:
    assert the_place_of(b"account;sequence\n", Format.CSV) == 1
    assert the_place_of(b"", Format.CSV) == 1


@pytest.mark.parametrize("form", Format)
def test_an_empty_text_is_not_a_missing_one(form: Format) -> None:
    row = AuditRow("", 1, "", "", "", None, "", "", "")
    other = AuditRow("", 1, "", "", "", "", "", "", "")

    assert decode(encode(row, form), form) == row
    assert decode(encode(other, form), form) == other


def test_a_quote_too_many_does_not_swallow_the_rest_of_the_file() -> None:
    """Given a flipped quote: the very next line shows it; a file of any size is not read into memory."""
    lines = [encode(row, Format.CSV) for row in a_chain(50)]
    lines[3] = lines[3][:-2] + b"\n"
    stream = io.BytesIO(HEADS[Format.CSV] + b"".join(lines))

    with pytest.raises(Unreadable, match="a text in it that begins with a quote has no end") as unreadable:
        list(read_entries(stream, Format.CSV))

    assert unreadable.value.line == 5
    assert stream.tell() <= len(HEADS[Format.CSV] + b"".join(lines[:6]))


@FORMS
def test_a_line_without_an_end_is_not_read_into_memory(form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MOST_BYTES", 1000)
    text = HEADS[form] + b'"' + b"x" * 5000

    with pytest.raises(Unreadable, match="longer than any event"):
        the_rows_in(text, form)


def test_a_text_of_many_lines_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MOST_BYTES", 1000)

    assert the_place_of(HEADS[Format.CSV] + b'"' + b"\n" * 5000, Format.CSV) == 2
