"""How answers look: JSON for programs, tables for people."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from worker.domain.instrument import plain as decimal_words

# What steers a terminal, what turns the direction of the text around, and what takes no room of its own.
_CONTROL = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)

_LAST_OF_A_BYTE = 0xFF
_NAME_COLUMNS = 36  # as wide as a UUID
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400  # seconds
_SIZES = ((_DAY, _HOUR, "dh"), (_HOUR, _MINUTE, "hm"), (_MINUTE, 1, "ms"))  # a unit, the one below, their letters


def console() -> Console:
    """Return where people read: colours and a live width on a terminal, plain text of 80 columns elsewhere."""
    return Console(highlight=False)


@contextmanager
def looking() -> Iterator[None]:
    """Show on a terminal that the ledger is being searched, for as long as it is: millions of rows take seconds."""
    screen = Console(stderr=True)
    with screen.status("looking through the ledger; Ctrl-C stops") if screen.is_terminal else nullcontext():
        yield


def print_json(value: object) -> None:
    """Print one JSON value on standard output."""
    sys.stdout.write(json.dumps(value, default=plain, indent=2) + "\n")


def print_json_line(value: object) -> None:
    """Print one JSON value on a line of its own, at once."""
    sys.stdout.write(json.dumps(value, default=plain) + "\n")
    sys.stdout.flush()


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    none: str,
    whole: Collection[str] = (),
    numbers: Collection[str] = (),
) -> None:
    """
    Print rows under their columns, or the sentence `none` without any.

    Columns in `whole` are never folded, those in `numbers` stand to the right.
    """
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        justify: JustifyMethod = "right" if column in numbers else "left"
        table.add_column(column, overflow="fold", no_wrap=column in whole, justify=justify)
    for row in rows:
        table.add_row(*map(cell, row))
    console().print(table if table.row_count else Text(none))


def print_fields(fields: Mapping[str, object]) -> None:
    """Print one thing, a line for each field that has a value."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields.items():
        if value is not None:
            grid.add_row(cell(name), cell(value))
    console().print(grid)


def cell(value: object) -> Text:
    """Return a value as text that cannot take over the terminal: what others wrote is shown, never obeyed."""
    return value if isinstance(value, Text) else Text(_CONTROL.sub(_visible, words(value)))


def shortened(name: str) -> str:
    """Cut a name that its sender made as long and as wide as it liked to a UUID's width; `--json` has it whole."""
    shown = cell(name).plain
    return shown if cell_len(shown) <= _NAME_COLUMNS else f"{set_cell_size(shown, _NAME_COLUMNS - 3).rstrip()}..."


def words(value: object) -> str:
    """Return a value as a person reads it; times in UTC to the millisecond."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}"
        case Decimal():
            return decimal_words(value)
    return str(value)


def duration(seconds: float) -> str:
    """Write a length of time in at most twelve characters, in the units in which a person thinks of it."""
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.2f} s"
    unit, part, names = next(size for size in _SIZES if seconds >= size[0])
    whole, rest = divmod(int(seconds), unit)
    return f"{whole} {names[0]} {rest // part} {names[1]}"


def plain(value: Any) -> Any:
    """Return a value as JSON can carry it: times in UTC with microseconds, decimals as numbers."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case UUID():
            return str(value)
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case Mapping():
            return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code <= _LAST_OF_A_BYTE else f"\\u{code:04x}"
