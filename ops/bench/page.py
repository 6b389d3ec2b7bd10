"""The report as one page of HTML that needs nothing else: no script, no style sheet, no picture from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import groupby

from ops.bench.drawing import bars, lines
from ops.bench.figures import Figure, Section
from ops.bench.report import Report, number

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; } th, td { padding: .2em .8em .2em 0; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } th { border-bottom: 1px solid #999; }
.held { color: #17693a; } .missed { color: #b3261e; font-weight: bold; } svg { display: block; margin: 1em 0; }
svg text { font: 12px system-ui, sans-serif; fill: #222; }
"""


def page(report: Report) -> str:
    """Return the page."""
    sections = "".join(_section(section) for section in report.sections)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>mt5-worker: benchmark</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>mt5-worker: benchmark of {escape(report.began)}</h1>"
        f"{_table(('machine', ''), report.machine.items())}{sections}</body></html>\n"
    )


def _section(section: Section) -> str:
    parts = [
        f"<h2>{escape(section.title)}</h2>",
        *_claims(section),
        *_drawn(section.figures),
        *(lines(plot) for plot in section.plots),
        *_figures(section.figures),
        *_rows(section.rows),
        *(f"<p>{escape(note)}</p>" for note in section.notes),
    ]
    return "\n".join(parts)


def _claims(section: Section) -> Iterator[str]:
    if section.claims:
        yield "<table><tr><th>claim</th><th>measured</th><th>wanted</th><th></th></tr>"
        for one in section.claims:
            verdict = '<td class="held">holds</td>' if one.holds else '<td class="missed">not held</td>'
            yield f"<tr>{_cells((one.text, one.measured, one.wanted))}{verdict}</tr>"
        yield "</table>"


def _drawn(figures: Sequence[Figure]) -> Iterator[str]:
    """Draw what has the same unit in one picture."""
    for _unit, alike in groupby(figures, key=lambda figure: figure.unit):
        yield bars(list(alike))


def _figures(figures: Sequence[Figure]) -> Iterator[str]:
    if figures:
        rows = ((one.name, one.median, one.min, one.max, float(len(one.values)), one.unit) for one in figures)
        yield _table(("figure", "median", "min", "max", "runs", "unit"), rows)


def _rows(rows: Sequence[Mapping[str, str | float]]) -> Iterator[str]:
    if rows:
        yield _table(tuple(rows[0]), (tuple(row.values()) for row in rows))


def _table(head: Iterable[str], rows: Iterable[Iterable[str | float]]) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<table><tr>{names}</tr>{''.join(f'<tr>{_cells(row)}</tr>' for row in rows)}</table>"


def _cells(values: Iterable[str | float]) -> str:
    return "".join(
        f"<td>{escape(value)}</td>" if isinstance(value, str) else f'<td class="number">{number(value)}</td>'
        for value in values
    )
