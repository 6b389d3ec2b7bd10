"""
The simulated module has what the real package has: no name more, none less, each with the same shape.

The real package is read from its wheel, on any machine; where it is installed, on Windows, it is imported as well.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from tests.conformance import __main__ as command
from tests.conformance import facts
from tests.conformance import wheel as registry
from tests.conformance.comparison import Row, compared, spoken
from tests.conformance.facts import Facts
from tests.conformance.words import NEVER_SAID, patterns
from worker.mt5 import simulated


@pytest.fixture(scope="module")
def wheel() -> Facts:
    try:
        return facts.of_wheel(registry.wheel())
    except registry.OutOfReach as error:
        _without_a_registry(str(error))


@pytest.fixture(scope="module")
def installed() -> Facts:
    return facts.of_module(importlib.import_module("MetaTrader5"))


def _without_a_registry(why: str) -> NoReturn:
    """Skip on a machine without a network; an automatic check must not pass without having looked."""
    if os.environ.get("CI"):
        pytest.fail(f"the real package could not be compared with: {why}")
    pytest.skip(why)


_HERE = ["installed"] if any(importlib.metadata.Distribution.discover(name="MetaTrader5")) else []


@pytest.fixture(scope="module", params=["wheel", *_HERE])
def theirs(request: pytest.FixtureRequest) -> Facts:
    read: Facts = request.getfixturevalue(request.param)
    return read


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return facts.of_module(simulated.module(tmp_path_factory.mktemp("ours") / "book.sqlite"))


def _row(rows: list[Row], what: str) -> Row:
    (row,) = (row for row in rows if row.what == what)
    return row


@pytest.mark.parametrize(
    ("what", "count"),
    [
        ("version", "5.0.6231"),
        ("author", "MetaQuotes Ltd."),
        ("constants, with value and type", 223),
        ("functions", 32),
        ("- with no arguments", 8),
        ("- with arguments by position", 15),
        ("- with arguments by position and name", 9),
        ("how to call them, in their help", 32),
        ("helpers in Python, with signature", 4),
        ("structures", 11),
        ("fields, in order", 256),
    ],
)
def test_ours_has_what_theirs_has(theirs: Facts, ours: Facts, what: str, count: int | str) -> None:
    row = _row(compared(theirs, ours), what)

    assert row.differences == ()
    assert (row.theirs, row.ours) == (count, count)


def test_constants_come_in_the_same_order(theirs: Facts, ours: Facts) -> None:
    assert list(ours.constants) == list(theirs.constants)


def test_what_ours_says_of_an_error_is_theirs_word_for_word(wheel: Facts) -> None:
    row = spoken(wheel.errors, patterns(), NEVER_SAID)

    assert row.differences == ()
    assert (row.theirs, row.ours) == (46, 46 - len(NEVER_SAID))


class TestTheComparison:
    """It finds what it looks for: nothing above would tell if it were blind."""

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"constants": {"RES_S_OK": 2}}, "RES_S_OK is ('int', 2), theirs ('int', 1)"),
            ({"constants": {"RES_S_OK": True}}, "RES_S_OK is ('bool', True), theirs ('int', 1)"),
            ({"functions": {"more": facts.Function(facts.Takes.NOTHING, "more()")}}, "more is not theirs"),
            ({"helpers": {"Buy": "(symbol)"}}, "Buy is (symbol), theirs (symbol, volume)"),
            ({"structs": {"Tick": ("bid", "time")}}, "Tick.time is 1, theirs 0"),
            ({"structs": {}}, "Tick is missing"),
        ],
    )
    def test_a_difference_is_told(self, change: dict[str, Any], told: str) -> None:
        same: dict[str, Any] = {"version": "1", "author": "A", "constants": {"RES_S_OK": 1}, "functions": {}}
        same |= {"helpers": {"Buy": "(symbol, volume)"}, "structs": {"Tick": ("time", "bid")}}

        rows = compared(Facts(**same), Facts(**(same | change)))

        assert told in {difference for row in rows for difference in row.differences}
        assert not any(row.differences for row in compared(Facts(**same), Facts(**same)))

    def test_an_invented_error_a_missing_one_and_an_idle_excuse_are_told(self) -> None:
        row = spoken(
            frozenset({"No memory", "No pipe"}), frozenset({"No pipe", "No way"}), {"No pipe": "", "No one": ""}
        )

        assert row.differences == (
            "No memory is missing",
            "No one is said, or not theirs",
            "No pipe is said, or not theirs",
            "No way is not theirs",
        )


class TestTheCommand:
    @pytest.mark.usefixtures("wheel")
    def test_it_shows_both_side_by_side(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main([]) == 0
        assert (
            "constants, with value and type                         223               223  none"
            in capsys.readouterr().out
        )
        assert command.main(["--json"]) == 0
        assert {row["what"]: row["ours"] for row in json.loads(capsys.readouterr().out)}["fields, in order"] == 256

    def test_without_a_registry_it_says_so(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        _pip_says(
            monkeypatch, tmp_path, "WARNING: Retrying ... NewConnectionError ...\nERROR: No matching distribution"
        )

        assert command.main([]) == 3
        assert capsys.readouterr().err == "pip reaches no registry: ERROR: No matching distribution\n"


class TestTheRegistry:
    def test_a_version_that_is_gone_is_no_excuse(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        _pip_says(monkeypatch, tmp_path, "ERROR: No matching distribution found for MetaTrader5==5.0.6231")

        with pytest.raises(RuntimeError, match=r"MetaTrader5 5\.0\.6231: ERROR: No matching"):
            registry.wheel()

    def test_another_file_of_the_same_name_is_not_taken(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        _pip_says(monkeypatch, tmp_path, "")
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept" / registry.NAME).write_bytes(b"something else")

        with pytest.raises(RuntimeError, match="is not the file that is known here"):
            registry.wheel()

    def test_an_automatic_check_fails_instead_of_skipping(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI", "true")
        with pytest.raises(pytest.fail.Exception, match="could not be compared"):
            _without_a_registry("no network")

        monkeypatch.delenv("CI")
        with pytest.raises(pytest.skip.Exception, match="no network"):
            _without_a_registry("no network")


def _pip_says(monkeypatch: pytest.MonkeyPatch, folder: Path, words: str) -> None:
    """Let pip end with these words, and without a wheel; with no words it succeeds."""
    answer = SimpleNamespace(returncode=1 if words else 0, stderr=words)
    monkeypatch.setattr(registry, "_KEPT", folder / "kept")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
