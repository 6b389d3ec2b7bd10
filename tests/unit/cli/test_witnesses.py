"""Subscribers' copies of confirmations, however they were kept."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import typer

from worker.cli.witnesses import read_witnesses
from worker.ledger.audit import Witness
from worker.ports import Anchor


def told(sequence: int, account: str = "main") -> dict[str, Any]:
    audit = {"sequence": sequence, "hash": f"{sequence:064}"}
    return {"execution_id": f"e{sequence}", "version": 1, "account": account, "status": "filled", "audit": audit}


def witness(sequence: int) -> Witness:
    return Witness(Anchor(sequence, f"{sequence:064}"), f"e{sequence}:1")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "confirmations.jsonl"


def test_one_a_line(file: Path) -> None:
    file.write_text(f"{json.dumps(told(1))}\n\n{json.dumps(told(2, 'test'))}\n{json.dumps(told(3))}")

    assert read_witnesses(str(file)) == {"main": [witness(1), witness(3)], "test": [witness(2)]}


def test_an_array(file: Path) -> None:
    file.write_text(json.dumps([told(1), told(2)], indent=2))

    assert read_witnesses(str(file)) == {"main": [witness(1), witness(2)]}


def test_an_array_may_begin_on_any_line(file: Path) -> None:
    file.write_text("\n\n" + json.dumps([told(1), told(2)], indent=2))

    assert read_witnesses(str(file)) == {"main": [witness(1), witness(2)]}


def test_a_line_ends_where_json_lines_end(file: Path) -> None:
    """Given words with a separator of Unicode: confirmations leave with such letters as they are."""
    lines = [
        json.dumps(told(number) | {"rejection_details": "one\u2028two\x85"}, ensure_ascii=False) for number in (1, 2)
    ]
    file.write_text("\n".join(lines), encoding="utf-8")

    assert read_witnesses(str(file)) == {"main": [witness(1), witness(2)]}


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(told(5))))

    assert read_witnesses("-") == {"main": [witness(5)]}


def test_a_confirmation_of_an_account_without_a_chain_witnesses_nothing(file: Path) -> None:
    file.write_text(json.dumps(told(1) | {"audit": None}))

    assert read_witnesses(str(file)) == {}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "line 1 is no JSON"),
        ("[", "it is no JSON"),
        (f"{json.dumps(told(1))}\n7", "line 2 is no confirmation"),
        ('{"account": "main"}', "line 1 is no confirmation"),
        ('{"account": 1, "audit": null}', "line 1 is no confirmation"),
        ('[{"account": "main", "audit": {"sequence": true, "hash": "x"}}]', "entry 1 is no confirmation"),
        ('{"account": "main", "audit": {"sequence": 1, "hash": null}}', "line 1 is no confirmation"),
        ('{"account": "main", "audit": 1}', "line 1 is no confirmation"),
        ('{"account": "main", "audit": {"sequence": -1, "hash": "x"}}', "line 1 is no confirmation"),
        ("[" * 100_000, "it is no confirmation: it is nested too deeply"),
        ('{"a":' * 100_000, "line 1 is no confirmation: it is nested too deeply"),
    ],
)
def test_a_copy_that_cannot_be_read_does_not_pass_for_one_that_agrees(file: Path, content: str, complaint: str) -> None:
    file.write_text(content)

    with pytest.raises(typer.BadParameter, match=complaint):
        read_witnesses(str(file))


def test_a_file_that_is_not_there_is_wrong_usage(file: Path) -> None:
    with pytest.raises(typer.BadParameter, match="cannot be read"):
        read_witnesses(str(file))


def test_a_file_that_is_no_text_is_wrong_usage(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")

    with pytest.raises(typer.BadParameter, match="cannot be read"):
        read_witnesses(str(file))
