"""What commands raise on purpose ends in a sentence and the contract's exit code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
import typer
from typer.testing import CliRunner

from ops.services import NotOurs, ServicesUnavailable
from worker.cli.exits import Commands
from worker.domain import errors
from worker.messaging.errors import AccessRefused


def _app(act: Callable[[], None]) -> typer.Typer:
    app = typer.Typer(cls=Commands)
    app.command()(act)
    app.command("other")(lambda: None)
    return app


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound("there is no execution 7"), 1),
        (errors.Refused("resolve it first"), 1),
        (errors.WorkerError("anything else"), 1),
        (NotOurs("it belongs to someone else"), 1),
        (PermissionError(13, "Permission denied", "out.json"), 1),
        (errors.WrongSetting("ACCOUNT: is odd\nAMQP_URL: is not set"), 2),
        (errors.SchemaMismatch("run db migrate"), 2),
        (errors.LedgerUnavailable("PostgreSQL does not answer"), 3),
        (AccessRefused("RabbitMQ refused user 'a'"), 3),
        (errors.TerminalUnavailable("the terminal is logged out"), 3),
        (ServicesUnavailable("install rabbitmq-server"), 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_expected_error_is_a_sentence_and_a_code(error: Exception, code: int) -> None:
    def act() -> None:
        raise error

    done = CliRunner().invoke(_app(act), ["act"])

    assert done.exit_code == code
    assert done.stderr == f"{error}\n"
    assert done.stdout == ""


def test_what_a_message_has_brought_with_it_cannot_take_over_the_terminal() -> None:
    def act() -> None:
        raise errors.NotFound("there is no trade \x1b[2J\u202eevil")

    done = CliRunner().invoke(_app(act), ["act"])

    assert done.stderr == "there is no trade \\x1b[2J\\u202eevil\n"


def test_a_defect_is_not_dressed_up() -> None:
    def act() -> None:
        raise ZeroDivisionError

    done = CliRunner().invoke(_app(act), ["act"])

    assert isinstance(done.exception, ZeroDivisionError)


def test_ctrl_c_is_130() -> None:
    def act() -> None:
        raise KeyboardInterrupt

    assert CliRunner().invoke(_app(act), ["act"]).exit_code == 130


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--version"], ["dlq", "--help"]])
def test_what_cannot_be_written_is_told(arguments: list[str], unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = _run(arguments, full, PYTHONUNBUFFERED=unbuffered)

    assert done.returncode == 1
    assert re.fullmatch("the output cannot be written .*: look first\n", done.stderr)


def test_a_reader_that_has_gone_needs_no_sentence() -> None:
    reader, writer = os.pipe()
    os.close(reader)

    with os.fdopen(writer, "wb") as pipe:
        done = _run(["--version"], pipe)

    assert (done.returncode, done.stderr) == (1, "")


def test_a_program_that_was_started_without_standard_output_does_its_work() -> None:
    shell = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "worker", "--version"]

    done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def _run(arguments: list[str], out: IO[bytes], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environment,
    )
