"""An operator leaves `status --watch` running: it shows outages, waits through them, and ends with Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from tests.acceptance.desk import eventually
from tests.fixtures.worker_process import environment
from tests.integration.cli.conftest import Desk

pytestmark = pytest.mark.services

_PATIENCE = 30


@contextmanager
def _watching(
    desk: Desk, *how: str, out: int | None = None, **settings: str
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run `status --watch` as a person does, its words going to a file, or to a terminal."""
    file = Path(desk.folder) / f"watch{'-'.join(how)}.out"
    with file.open("w") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker", "status", "--watch", "0.1", *how],
            env=environment({**desk.settings, **settings}),
            cwd=desk.folder,
            stdout=words if out is None else out,
            stderr=words,
            text=True,
        )
        try:
            yield process, file
        finally:
            process.kill()
            process.wait()


def _interrupted(process: subprocess.Popen[str]) -> int:
    process.send_signal(SIGINT)
    return process.wait(_PATIENCE)


@contextmanager
def _closed_database(desk: Desk) -> Iterator[None]:
    """Have PostgreSQL refuse every connection to the desk's ledger."""
    parts = urlsplit(desk.settings["POSTGRES_URL"])
    name = Identifier(parts.path.removeprefix("/"))
    with psycopg.connect(urlunsplit(parts._replace(path="/postgres")), autocommit=True) as server:
        server.execute(SQL("alter database {} allow_connections false").format(name))
        try:
            yield
        finally:
            server.execute(SQL("alter database {} allow_connections true").format(name))


def test_an_outage_is_shown_and_waited_through(desk: Desk) -> None:
    with _watching(desk, "--json") as (process, file):

        def last() -> dict[str, object]:
            lines = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
            return dict(json.loads(lines[-1])) if lines else {}

        eventually(lambda: last().get("account") == "main", "nothing is shown", _PATIENCE)
        with _closed_database(desk):
            eventually(lambda: "PostgreSQL does not answer" in str(last().get("problem")), "no outage is shown")
        eventually(lambda: last().get("account") == "main", "it did not come back")

        assert _interrupted(process) == 0
        assert all(isinstance(json.loads(line), dict) for line in file.read_text().splitlines())


def test_without_a_terminal_one_picture_follows_the_other(desk: Desk) -> None:
    nowhere = "amqp://me:secret@127.0.0.1:9/x"
    with _watching(desk, AMQP_URL=nowhere) as (process, file):
        eventually(lambda: file.read_text().count("account main at ") > 1, "it is shown once", _PATIENCE)

        assert _interrupted(process) == 0
        assert "RabbitMQ does not answer" in file.read_text()
        assert "secret" not in file.read_text()
        assert "Traceback" not in file.read_text()


def test_on_a_terminal_it_is_drawn_in_its_place(desk: Desk) -> None:
    ours, theirs = pty.openpty()
    try:
        with _watching(desk, out=theirs, TERM="xterm", LINES="40") as (process, _):
            shown = ""
            while shown.count("account main at ") < 3:
                shown += os.read(ours, 65_536).decode(errors="replace")

            assert _interrupted(process) == 0
            assert "\x1b[1A" in shown  # up again, to draw over the last picture
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_time_between_looks_is_bounded(desk: Desk) -> None:
    assert desk.say("status", "--watch", "0").code == 2
    assert desk.say("status", "--watch", "soon").code == 2


def test_seconds_are_for_watching(desk: Desk) -> None:
    looked_once = desk.say("status", "5")

    assert looked_once.code == 2
    assert "--watch" in looked_once.err
