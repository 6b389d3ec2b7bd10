"""
Events as the lines of a file: JSON lines, or CSV with a header.

Both carry the exact text of every column, and each event has exactly one form in each of them: what is read must be
what would be written, to the byte. So a change shows even where it does not change what a lenient reader makes of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import count
from typing import Any, BinaryIO

from worker.ledger.audit import AuditRow
from worker.ledger.encoding import as_row

MOST_BYTES = 64 * 2**20
"""Of one event: a message of 1 MiB, quoted in the payload and again in the line, takes less than 20 MiB."""

_COLUMNS = [field.name for field in fields(AuditRow)]
_TEXT = r'"((?:[^"]++|"")*+)"'
_PATTERNS = {"sequence": "(-?[0-9]{1,19})", "execution_id": rf"(?:{_TEXT})?"}
_CSV_RECORD = re.compile(",".join(_PATTERNS.get(name, _TEXT) for name in _COLUMNS) + "\n")
# The rest of a quoted text that began in a line before: to the end of this line, or to its own end and what may follow.
_CSV_CONTINUATION = re.compile(rb'(?:[^"\n]++|"")*+(?:\n|"[,\n])')


class Format(StrEnum):
    """How events are written."""

    JSONL = "jsonl"
    CSV = "csv"


HEADS = {Format.JSONL: b"", Format.CSV: ",".join(_COLUMNS).encode() + b"\n"}
"""What a file begins with."""


class Unreadable(ValueError):
    """A place in a file that holds no event; `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True, slots=True)
class Entry:
    """An event in a file: the line that it begins in, its bytes, and what they say."""

    line: int
    text: bytes
    row: AuditRow


def encode(row: AuditRow, form: Format) -> bytes:
    """Return the event's line, with its end."""
    if form is Format.JSONL:
        return json.dumps(as_row(row)).encode() + b"\n"
    return (",".join(map(_quoted, as_row(row).values())) + "\n").encode()


def decode(text: bytes, form: Format) -> AuditRow:
    """Return the event that was written so; raises ValueError for any other text."""
    try:
        row = _from_json(text) if form is Format.JSONL else _from_csv(text)
        if encode(row, form) != text:
            raise ValueError("it is not written as an export writes it")
    except (TypeError, RecursionError):
        raise ValueError("it does not have the fields of an event") from None
    return row


def read_entries(stream: BinaryIO, form: Format) -> Iterator[Entry]:
    """Yield the events of a file one by one, in bounded memory. Raises Unreadable at the first place that is none."""
    lines = _lines(stream)
    if HEADS[form] and next(lines, (1, b""))[1] != HEADS[form]:
        raise Unreadable(1, "it is not the header that an export begins with")
    for line, text in lines if form is Format.JSONL else _csv_records(lines):
        try:
            row = decode(text, form)
        except ValueError as error:
            raise Unreadable(line, f"it is no event: {_why(error)}") from None
        yield Entry(line, text, row)


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    for number in count(1):
        text = stream.readline(MOST_BYTES)
        if not text:
            return
        if text[-1:] != b"\n":
            too_long = len(text) == MOST_BYTES
            raise Unreadable(number, "it is longer than any event" if too_long else "it has no end: it was cut off")
        yield number, text


def _csv_records(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Put lines together that a quoted text runs across; a quote too many swallows the next line at most."""
    for number, text in lines:
        parts, quotes, size = [text], text.count(b'"'), len(text)
        while quotes % 2:
            _, more = next(lines, (0, b""))
            size += len(more)
            if not _CSV_CONTINUATION.match(more) or size > MOST_BYTES:
                raise Unreadable(number, "a text in it that begins with a quote has no end")
            parts.append(more)
            quotes += more.count(b'"')
        yield number, b"".join(parts)


def _from_json(text: bytes) -> AuditRow:
    value = json.loads(text.decode("ascii"))
    row = AuditRow(**value)
    if type(row.sequence) is not int:
        raise TypeError(row.sequence)
    for name, content in value.items():
        if name != "sequence" and not (content is None and name == "execution_id"):
            str.encode(content)  # raises for what is no text, and for lone surrogates, which are in no ledger
    return row


def _from_csv(text: bytes) -> AuditRow:
    found = _CSV_RECORD.fullmatch(text.decode("utf-8"))
    if found is None:
        raise ValueError("it does not have the fields of an event")
    values: dict[str, Any] = {
        name: None if value is None else value.replace('""', '"')
        for name, value in zip(_COLUMNS, found.groups(), strict=True)
    }
    return AuditRow(**values | {"sequence": int(values["sequence"])})


def _quoted(value: str | int | None) -> str:
    """Quote every text, so that none is mistaken for a number, and an empty one not for none."""
    match value:
        case None:
            return ""
        case int():
            return str(value)
    return '"' + value.replace('"', '""') + '"'


def _why(error: ValueError) -> str:
    match error:
        case json.JSONDecodeError():
            return f"{error.msg} at character {error.pos + 1}"
        case UnicodeError():
            return "it holds bytes that are no text"
    return str(error)
