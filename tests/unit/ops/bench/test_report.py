"""The report says the same to a person, to a machine and as a page; a claim that does not hold is never hidden."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from ops.bench.figures import Claim, Figure, Plot, Section
from ops.bench.page import page
from ops.bench.report import WIDTH, Report, show_machine, show_section

SECTION = Section(
    "Throughput <of one worker>",
    figures=[Figure("the worker", "trades/s", [1000.0, 1500.0, 1250.0]), Figure("CPU", "ms", [0.123456])],
    claims=[
        Claim("half of the bare loop", "0.61", "at least 0.5", holds=True),
        Claim("three times [what] one would write instead", "2.10", "at least 3", holds=False),
    ],
    notes=["written & read on\n    two lines"],
    rows=[{"contestant": "the worker", "ms": 0.5}, {"contestant": "the bare loop", "ms": 0.25}],
    plots=[Plot("memory", "trades", "MiB", {"worker": [(0, 80), (1000, 81)], "terminal": [(0, 40), (1000, 40)]})],
)
REPORT = Report("2026-03-02T09:30:00+00:00", {"processor": "two cores", "system": "x" * 200}, [SECTION])


@pytest.fixture
def shown() -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=WIDTH)
    show_machine(REPORT.machine, console)
    show_section(SECTION, console)
    return out.getvalue().splitlines()


def test_it_fits_a_terminal_of_80_columns(shown: list[str]) -> None:
    assert max(map(len, shown)) <= 80


def test_a_figure_is_shown_with_its_median_and_spread(shown: list[str]) -> None:
    line = next(line for line in shown if line.startswith("the worker") and "trades/s" in line)

    assert line.split() == ["the", "worker", "1,250", "1,000", "1,500", "3", "trades/s"]


def test_a_claim_that_does_not_hold_is_told_as_such(shown: list[str]) -> None:
    said = " ".join(" ".join(shown).split())

    assert "0.61 at least 0.5 holds" in said
    assert "2.10 at least 3 NOT HELD" in said


def test_names_are_shown_as_they_are(shown: list[str]) -> None:
    said = " ".join(" ".join(shown).split())

    assert "<of one worker>" in said
    assert "[what]" in said
    assert "written & read on two lines" in said


def test_a_machine_reads_values_medians_and_verdicts() -> None:
    told = json.loads(REPORT.as_json())

    assert told["machine"]["processor"] == "two cores"
    (section,) = told["sections"]
    assert section["figures"][0] == {
        "name": "the worker",
        "unit": "trades/s",
        "values": [1000.0, 1500.0, 1250.0],
        "median": 1250.0,
        "min": 1000.0,
        "max": 1500.0,
    }
    assert [claim["holds"] for claim in section["claims"]] == [True, False]


def test_the_page_needs_nothing_from_anywhere() -> None:
    drawn = page(REPORT)

    assert not re.search(r"(?i)https?:|src=|href=|@import|url\(|<script", drawn)
    assert "Throughput &lt;of one worker&gt;" in drawn
    assert "not held" in drawn


def test_the_pictures_are_whole_and_lie_within_their_frames() -> None:
    pictures = [ET.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page(REPORT))]  # noqa: S314 - our own

    assert len(pictures) == 3  # the bars of two units and the lines of a plot
    for picture in pictures:
        width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
        for one in picture.iter():
            assert 0 <= float(one.attrib.get("x", 0)) <= width
            assert 0 <= float(one.attrib.get("y", 0)) <= height
            for x, y in (point.split(",") for point in one.attrib.get("points", "").split()):
                assert 0 <= float(x) <= width
                assert 0 <= float(y) <= height
