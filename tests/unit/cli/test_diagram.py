"""The drawing of the states is the table, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from worker.cli import diagram
from worker.domain.execution import TRANSITIONS, State

PAGE = Path(__file__).parents[3] / diagram.PLACE


def test_the_page_beside_the_decisions_is_drawn_from_the_present_table() -> None:
    assert diagram.main(["--check", str(PAGE)]) == 0, "run `make diagram`"


def test_its_arrows_are_the_table() -> None:
    arrows = re.findall(r"^    (\w+) --> (\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    assert sorted(arrows) == sorted((source, to) for source, targets in TRANSITIONS.items() for to in targets)


def test_every_state_has_a_meaning() -> None:
    assert set(diagram.MEANINGS) == set(State)


def test_a_page_that_differs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "states.md"
    assert diagram.main([str(page)]) == 0
    assert diagram.main(["--check", str(page)]) == 0

    page.write_text(page.read_text(encoding="utf-8").replace("error --> filled", "error --> rejected"), "utf-8")

    assert diagram.main(["--check", str(page)]) == 1
    assert capsys.readouterr().out == f"{page} differs from the table of transitions: run `make diagram`\n"
