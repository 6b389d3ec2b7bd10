"""Every statement has a name, says what it is for, and is used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import worker.ledger
from worker.ledger.statements import all_statements, sql

LEDGER = Path(worker.ledger.__file__).parent
FILES = sorted((LEDGER / "sql").glob("*.sql"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_block_says_what_it_is_for(file: Path) -> None:
    blocks = re.split(r"^-- name: ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert blocks[0].strip() == ""
    for block in blocks[1:]:
        name, description, *_ = block.splitlines()
        assert re.fullmatch(r"\w+", name)
        assert description.startswith("-- "), f"{name} does not say what it is for"


def test_no_two_statements_share_a_name() -> None:
    names = [name for file in FILES for name in re.findall(r"^-- name: (\w+)$", file.read_text("utf-8"), re.MULTILINE)]

    assert sorted(names) == sorted(set(names))
    assert set(names) == set(all_statements())


def test_every_statement_is_used() -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in LEDGER.glob("*.py"))

    assert [name for name in all_statements() if f'"{name}"' not in code] == []


def test_a_statement_comes_without_its_comments() -> None:
    assert sql("applied_migrations") == b"select version, name, checksum from ledger.migrations order by version"


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        sql("drop_everything")
