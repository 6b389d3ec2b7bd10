"""Every statement has a name, says what it is for, and is used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import worker.ledger
from worker.ledger.statements import all_statements, numbered, sql

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


def test_a_statement_s_parameters_are_numbered_in_the_order_of_their_first_place() -> None:
    statement = numbered("insert_dead_letters")

    assert statement.parameters == ("bodies", "rows")
    assert statement.are_binary == (True, False)
    assert b"($1::bytea[])[ordinality]" in statement.text
    assert b"%(" not in statement.text


def test_a_parameter_that_a_statement_names_twice_has_one_number() -> None:
    statement = numbered("audit_page")

    number = statement.parameters.index("since") + 1
    assert statement.text.count(b"$%d" % number) == 2


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        sql("drop_everything")
