"""Every command explains itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from worker import __version__
from worker.cli.app import app


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))


ALL = dict(_commands(typer.main.get_command(app)))
LEAVES = {path: command for path, command in ALL.items() if not hasattr(command, "commands")}


def test_the_commands_are_those_of_the_contract() -> None:
    assert {" ".join(path) for path in ALL} == {
        "run",
        "demo",
        "publish",
        "confirmations",
        "confirmations republish",
        "status",
        "halt",
        "resume",
        "executions",
        "executions list",
        "executions show",
        "executions resolve",
        "audit",
        "audit verify",
        "audit export",
        "audit report",
        "dlq",
        "dlq list",
        "dlq groups",
        "dlq show",
        "dlq replay",
        "dlq discard",
        "dlq restore",
        "dlq export",
        "dlq import",
        "dlq unpark",
        "instruments",
        "topology",
        "topology declare",
        "topology check",
        "topology export",
        "schema",
        "schema export",
        "db",
        "db migrate",
        "db check",
        "doctor",
        "services",
        "services up",
        "services down",
        "services status",
    }


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_says_what_a_command_does(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*path, "--help"])

    assert done.exit_code == 0
    assert f"Usage: mt5-worker {' '.join(path)}" in " ".join(done.output.split())
    assert max(map(len, done.output.splitlines())) <= 80


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_ends_with_examples_that_can_be_typed(path: tuple[str, ...]) -> None:
    examples = re.findall(r"\$ (mt5-worker [^\n]*|MT5_BACKEND=\w+ mt5-worker run)", LEAVES[path].epilog)

    assert examples
    assert all(f"mt5-worker {' '.join(path)}" in example for example in examples)


@pytest.mark.parametrize("arguments", [[], ["dlq"], ["executions"], ["topology"], ["db"], ["services"], ["schema"]])
def test_a_group_without_a_command_is_wrong_usage_and_shows_help(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)

    assert done.exit_code == 2
    assert "Usage:" in done.output


def test_the_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"mt5-worker {__version__}\n"


def test_shell_completion_is_on_offer() -> None:
    assert "--install-completion" in CliRunner().invoke(app, ["--help"]).output


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_the_lines_of_a_help_end_where_the_terminal_wants_it(path: tuple[str, ...]) -> None:
    assert not re.search(r"[^\n]\n[^\n]", ALL[path].help)
