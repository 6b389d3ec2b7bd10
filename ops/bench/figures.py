"""What a measurement tells: figures with their spread, claims and whether they hold, and what to draw of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One thing measured in several runs: a value each, all of one unit."""

    name: str
    unit: str
    values: Sequence[float]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"{self.name}: a figure without a value was never measured")

    @property
    def median(self) -> float:
        """The middle one of the values, or the mean of the middle two."""
        return statistics.median(self.values)

    @property
    def min(self) -> float:
        """The smallest value."""
        return min(self.values)

    @property
    def max(self) -> float:
        """The largest value."""
        return max(self.values)


@dataclass(frozen=True)
class Claim:
    """Something that should be so, what was measured of it, and whether it holds."""

    text: str
    measured: str
    wanted: str
    holds: bool


@dataclass(frozen=True)
class Plot:
    """Lines to draw: each a name and its points (x, y), all of them over the same two axes."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Section:
    """All that one part of the benchmark found. The rows are a table of its own: all have the same columns."""

    title: str
    figures: Sequence[Figure] = ()
    claims: Sequence[Claim] = ()
    notes: Sequence[str] = ()
    rows: Sequence[Mapping[str, str | float]] = ()
    plots: Sequence[Plot] = field(default=())


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share (0 to 1) of the values does not exceed."""
    if not values:
        raise ValueError("no values, no quantile")
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def at_least(text: str, measured: float, wanted: float) -> Claim:
    """Claim that a ratio is not below what is wanted."""
    return Claim(text, f"{measured:.4g}", f"at least {wanted:g}", measured >= wanted)


def at_most(text: str, measured: float, wanted: float) -> Claim:
    """Claim that a ratio is not above what is wanted."""
    return Claim(text, f"{measured:.4g}", f"at most {wanted:g}", measured <= wanted)
