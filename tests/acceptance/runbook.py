"""An operator who does what a runbook says, command by command, at a desk in the state that the page is about."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.backup.__main__ import main as backup
from tests.acceptance.desk import Desk
from tests.fixtures.runbooks import Block, blocks, commands
from worker.cli.app import app

Values = Mapping[str, Callable[[], str]]  # what a word in capitals stands for: looked up once in each block
_Ended = tuple[int, str, str]  # exit code, standard output, standard error
SPARE = "ledger_restored"  # the pages' name for the database to restore into; every test has its own


@dataclass(frozen=True)
class Did:
    """One command of a page, as it was typed, and what came of it."""

    line: str
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """All that it printed, on one line."""
        return " ".join((self.out + self.err).split())


@dataclass
class Operator:
    """Runs commands in this process, in the desk's folder and with its settings."""

    desk: Desk
    values: Values
    spare: str = SPARE
    did: list[Did] = field(default_factory=list)

    def follow(self, page: str, section: str | None = None, **settings: str) -> list[Did]:
        """Run the `sh` blocks of a page, or of one of its sections; each command must end as the page says."""
        chosen = [block for block in blocks(page) if section in {None, block.section}]
        assert any(block.language == "sh" for block in chosen), f"{page} has nothing to run under {section!r}"
        return [did for block in chosen for did in self._do(block, settings)]

    def _do(self, block: Block, settings: Mapping[str, str]) -> Iterator[Did]:
        values = {SPARE: self.spare}
        for command in commands(block):
            wanted = {name: look for name, look in self.values.items() if name in command.line and name not in values}
            values |= {name: look() for name, look in wanted.items()}
            did = typed(self.desk, command.words(values), **settings)
            assert did.code == command.code, f"{block.page}, {block.section}: {did}"
            self.did.append(did)
            yield did


def typed(desk: Desk, words: Sequence[str], **settings: str) -> Did:
    """Run one command line at a desk, in this process, and return what came of it."""
    with _at(desk.folder, {**desk.settings, "COLUMNS": "80", **settings}):
        code, out, err = _RUNNERS[words[0]](list(words[1:]))
    return Did(shlex.join(words), code, out, err)


def listed(desk: Desk, *words: str) -> list[dict[str, Any]]:
    """Return what a listing of `mt5-worker` has to show."""
    did = typed(desk, ["mt5-worker", *words, "--json"])
    assert did.code == 0, did
    found: list[dict[str, Any]] = json.loads(did.out)
    return found


def _worker(words: list[str]) -> _Ended:
    done = CliRunner().invoke(app, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def _python(words: list[str]) -> _Ended:
    assert words[:2] == ["-m", "ops.backup"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = backup(words[2:])
    return code, out.getvalue(), err.getvalue()


def _curl(words: list[str]) -> _Ended:
    [url] = words
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the worker's own address
        return 0, answer.read().decode(), ""


_RUNNERS: Mapping[str, Callable[[list[str]], _Ended]] = {
    "mt5-worker": _worker,
    "python": _python,
    "curl": _curl,
}


@contextlib.contextmanager
def _at(folder: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """Be in this folder with these settings, for the length of one command; logging is left to the test process."""
    root = Path(__file__).parents[2]
    with pytest.MonkeyPatch.context() as place:
        place.chdir(folder)
        place.setenv("PYTHONPATH", os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]))
        place.setattr("worker.cli.parts.configure_logging", lambda *_: None)
        for name, value in settings.items():
            place.setenv(name, value)
        yield
