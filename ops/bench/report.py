"""What was found, as tables for a terminal, as JSON for machines; `page` draws it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.bench.figures import Claim, Figure, Section

WIDTH = 80


@dataclass(frozen=True)
class Report:
    """All sections of a run, when it began (UTC, ISO 8601), and on which machine."""

    began: str
    machine: Mapping[str, str]
    sections: Sequence[Section]

    def as_json(self) -> str:
        """Return all of it as one JSON object; medians and spreads are with the values they come from."""
        found = dataclasses.asdict(self)
        for section, told in zip(self.sections, found["sections"], strict=True):
            told["figures"] = [_with_spread(figure) for figure in section.figures]
        return json.dumps(found, indent=2)


def _with_spread(figure: Figure) -> dict[str, Any]:
    return dataclasses.asdict(figure) | {"median": figure.median, "min": figure.min, "max": figure.max}


def number(value: float) -> str:
    """Write a number with as many digits as mean something."""
    if abs(value) >= 1000:  # noqa: PLR2004 - from here on decimals say nothing
        return f"{value:,.0f}"
    return f"{value:.4g}"


def show_machine(machine: Mapping[str, str], console: Console) -> None:
    """Print on what was measured."""
    table = _table("machine", "")
    for name, value in machine.items():
        table.add_row(Text(name), Text(value))
    console.print(table)


def show_section(section: Section, console: Console) -> None:
    """Print one section: its figures, its table, its claims, its notes."""
    console.print()
    console.print(Text(section.title, style="bold"))
    if section.figures:
        console.print(_figures(section.figures))
    if section.rows:
        console.print(_rows(section.rows))
    if section.claims:
        console.print(_claims(section.claims))
    for note in section.notes:
        console.print(Text(f"* {' '.join(note.split())}"))


def _table(*columns: str) -> Table:
    table = Table(width=WIDTH, box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _figures(figures: Sequence[Figure]) -> Table:
    table = _table("figure", "median", "min", "max", "runs", "unit")
    table.columns[0].ratio = 1
    for column in table.columns[1:5]:
        column.justify = "right"
    for one in figures:
        values = (number(one.median), number(one.min), number(one.max), str(len(one.values)), one.unit)
        table.add_row(Text(one.name), *(Text(value) for value in values))
    return table


def _rows(rows: Sequence[Mapping[str, str | float]]) -> Table:
    table = _table(*rows[0])
    for row in rows:
        table.add_row(*(Text(value if isinstance(value, str) else number(value)) for value in row.values()))
    for column, value in zip(table.columns, rows[0].values(), strict=True):
        column.justify = "left" if isinstance(value, str) else "right"
    return table


def _claims(claims: Sequence[Claim]) -> Table:
    table = _table("claim", "measured", "wanted", "")
    table.columns[0].ratio = 1
    for one in claims:
        verdict = Text("holds", style="green") if one.holds else Text("NOT HELD", style="bold red")
        table.add_row(Text(one.text), Text(one.measured), Text(one.wanted), verdict)
    return table
