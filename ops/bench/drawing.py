"""Pictures in SVG: bars with their spread, lines over an axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from ops.bench.figures import Figure, Plot
from ops.bench.report import number

_WIDTH = 720
_LABELS = 300  # pixels for the names beside the bars
_BAR, _GAP = 18, 8
_HEIGHT, _MARGIN = 260, 50
_TICKS = 5
_COLOURS = ("#2f5d8a", "#b3561e", "#3b7d4f", "#7a4b8c", "#8a7a2f", "#666666")

Point = tuple[float, float]


def bars(figures: Sequence[Figure]) -> str:
    """Draw a bar as long as the median of each figure, and a thin line from its smallest to its largest value."""
    largest = max(figure.max for figure in figures) or 1.0
    scale = (_WIDTH - _LABELS - 110) / largest
    rows = "".join(_bar(figure, 6 + row * (_BAR + _GAP), scale) for row, figure in enumerate(figures))
    return _svg(len(figures) * (_BAR + _GAP) + 12, rows)


def _bar(figure: Figure, top: float, scale: float) -> str:
    middle = top + _BAR / 2
    low, high = _LABELS + figure.min * scale, _LABELS + figure.max * scale
    return (
        _text(_LABELS - 8, middle + 4, figure.name, "end")
        + f'<rect x="{_LABELS}" y="{top}" width="{figure.median * scale:.1f}" height="{_BAR}" fill="{_COLOURS[0]}"/>'
        + _line((low, middle), (high, middle), "#000")
        + _text(high + 8, middle + 4, f"{number(figure.median)} {figure.unit}", "start")
    )


def lines(plot: Plot) -> str:
    """Draw the lines of a plot over axes that begin at zero."""
    points = [point for line in plot.lines.values() for point in line]
    right = max((x for x, _ in points), default=0.0) or 1.0
    top = max((y for _, y in points), default=0.0) or 1.0

    def place(point: Point) -> Point:
        x, y = point
        return (
            _MARGIN + x / right * (_WIDTH - 2 * _MARGIN),
            _HEIGHT - _MARGIN - y / top * (_HEIGHT - 2 * _MARGIN),
        )

    drawn = "".join(
        _path([place(point) for point in line], name, number_of)
        for number_of, (name, line) in enumerate(plot.lines.items())
    )
    labels = _text(_WIDTH / 2, 16, plot.title, "middle") + _text(_WIDTH / 2, _HEIGHT - 8, plot.x, "middle")
    return _svg(_HEIGHT, labels + _text(4, 32, plot.y, "start") + "".join(_axes(place, right, top)) + drawn)


def _axes(place: Callable[[Point], Point], right: float, top: float) -> Iterator[str]:
    for step in range(_TICKS + 1):
        share = step / _TICKS
        x, bottom = place((right * share, 0.0))
        left, y = place((0.0, top * share))
        yield _text(x, bottom + 16, number(right * share), "middle") + _text(
            left - 6, y + 4, number(top * share), "end"
        )
        yield _line((left, y), (_WIDTH - _MARGIN, y), "#ddd")


def _path(points: Sequence[Point], name: str, row: int) -> str:
    colour = _COLOURS[row % len(_COLOURS)]
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    legend = _text(_WIDTH - _MARGIN, 32 + 14 * row, name, "end", colour)
    return f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="2"/>{legend}'


def _line(one: Point, other: Point, colour: str) -> str:
    (x, y), (to_x, to_y) = one, other
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, words: str, anchor: str, colour: str = "#222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="fill:{colour}">{escape(words)}</text>'


def _svg(height: float, content: str) -> str:
    return f'<svg width="{_WIDTH}" height="{height:.0f}" viewBox="0 0 {_WIDTH} {height:.0f}" role="img">{content}</svg>'
