"""Plots as SVG that stands in a page: no script, no font and no style of its own but the page's classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from worker.cli.audit.markup import Markup, joined, tag
from worker.cli.show import words

Number = int | Decimal

_WIDTH, _HEIGHT = 720, 240  # of a plot with columns; user units
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 10, 34
_ROW = 16  # height of one bar
_NAMES = 190  # width of the names beside bars
_LABELS = 9  # at most so many below columns
_NAME_CHARACTERS = 26
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Series:
    """One value for each label, None where there is none. `colour` is a class of the page: c0 to c4."""

    name: str
    values: Sequence[Number | None]
    colour: str


def columns(title: str, labels: Sequence[str], series: Sequence[Series]) -> Markup:
    """Draw the series on top of each other, a column for each label; values are not negative."""
    totals = [sum((Decimal(one.values[place] or 0) for one in series), Decimal(0)) for place in range(len(labels))]
    steps = ticks(Decimal(0), max(totals, default=Decimal(1)))
    height, room = _HEIGHT - _TOP - _BOTTOM, (_WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    width = min(room * 0.8, 48)
    drawn = [_tick_beside(step, _TOP + height * (1 - _part(step, steps))) for step in steps]
    for place, label in enumerate(labels):
        middle, below = _LEFT + room * (place + 0.5), Decimal(0)
        for one in series:
            value = Decimal(one.values[place] or 0)
            top = _TOP + height * (1 - _part(below + value, steps))
            box = (middle - width / 2, top, width, height * _part(value, steps))
            drawn.append(_box(box, one.colour, f"{label}: {one.name} {words(value)}"))
            below += value
        if place % -(-len(labels) // _LABELS) == 0:
            drawn.append(_label(label, middle, _HEIGHT - _BOTTOM + 16, "middle"))
    return _svg(title, _HEIGHT, drawn)


def bars(title: str, labels: Sequence[str], series: Sequence[Series]) -> Markup:
    """Draw the series below each other, a group of bars to the right for each label, to the left what is negative."""
    values = [Decimal(value) for one in series for value in one.values if value is not None]
    steps = ticks(min([*values, Decimal(0)]), max([*values, Decimal(0)]))
    group = _ROW * len(series) + 6
    bottom, width = _TOP + group * len(labels), _WIDTH - _NAMES - 3 * _RIGHT
    zero = _NAMES + width * _part(Decimal(0), steps)
    drawn = [_tick_below(step, _NAMES + width * _part(step, steps), bottom) for step in steps]
    for place, label in enumerate(labels):
        top = _TOP + group * place
        name = label if len(label) <= _NAME_CHARACTERS else f"{label[: _NAME_CHARACTERS - 3]}..."
        drawn.append(_label(name, _NAMES - 8, top + group / 2, "end"))
        for row, one in enumerate(series):
            value = one.values[place]
            if value is not None:
                end = _NAMES + width * _part(Decimal(value), steps)
                box = (min(zero, end), top + _ROW * row, abs(end - zero), _ROW - 3)
                drawn.append(_box(box, one.colour, f"{label}: {one.name} {words(value)}"))
    return _svg(title, bottom + _BOTTOM, drawn)


def legend(series: Sequence[Series]) -> Markup:
    """Say which colour is which series."""
    return tag("p", *(tag("span", one.name, class_=f"key {one.colour}") for one in series), class_="legend")


def ticks(low: Decimal, high: Decimal) -> Sequence[Decimal]:
    """Return at most seven round numbers, evenly apart, from below `low` to above `high`; two at least."""
    span = (high - low) or Decimal(1)
    power = Decimal(1).scaleb((span / _TICKS).adjusted())
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span / _TICKS)
    first = (low / step).to_integral_value(ROUND_FLOOR)
    last = max((high / step).to_integral_value(ROUND_CEILING), first + 1)
    return [step * number for number in range(int(first), int(last) + 1)]


def _part(value: Decimal, steps: Sequence[Decimal]) -> float:
    """Return where a value lies between the first and the last tick: 0 to 1."""
    return float((value - steps[0]) / (steps[-1] - steps[0]))


def _svg(title: str, height: float, drawn: Sequence[Markup]) -> Markup:
    return tag("svg", *drawn, viewBox=f"0 0 {_WIDTH} {height:.0f}", role="img", aria_label=title)


def _box(box: tuple[float, float, float, float], colour: str, says: str) -> Markup:
    x, y, width, height = (f"{side:.1f}" for side in box)
    return tag("rect", tag("title", says), x=x, y=y, width=width, height=height, class_=colour)


def _label(text: str, x: float, y: float, anchor: str) -> Markup:
    return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _tick_beside(step: Decimal, y: float) -> Markup:
    return joined(_line(_LEFT, y, _WIDTH - _RIGHT, y), _label(words(step), _LEFT - 6, y + 4, "end"))


def _tick_below(step: Decimal, x: float, bottom: float) -> Markup:
    return joined(_line(x, _TOP, x, bottom), _label(words(step), x, bottom + 16, "middle"))


def _line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}")
