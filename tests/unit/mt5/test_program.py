"""A terminal's process is found by its program's path alone; real processes of a copied program stand in for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from worker.domain.errors import TerminalUnavailable
from worker.mt5.program import Program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="starts copies of /bin/sleep")

SLEEP = Path(shutil.which("sleep") or "/bin/sleep").resolve()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Install a program like a terminal: one file in a folder of its own."""
    return _installed(tmp_path / "One Terminal")


@pytest.fixture
def start() -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    """Start programs, and end at the end what the test has left."""
    with ExitStack() as ends:

        def started(program: Path) -> subprocess.Popen[bytes]:
            process = subprocess.Popen([program, "60"])
            ends.callback(process.wait)
            ends.callback(process.kill)
            return process

        yield started


def _installed(folder: Path) -> Path:
    folder.mkdir()
    return Path(shutil.copy(SLEEP, folder / "terminal64.exe"))


Start = Callable[[Path], "subprocess.Popen[bytes]"]


def test_the_one_process_tells_when_it_was_started(installed: Path, start: Start) -> None:
    # Given a terminal that runs, and one of another folder
    before = datetime.now(UTC)
    start(_installed(installed.parent.parent / "Another Terminal"))
    start(installed)

    started = Program(installed).started()

    assert started is not None
    assert before - timedelta(seconds=2) <= started <= datetime.now(UTC)  # Linux counts from a boot in whole seconds


def test_however_its_path_is_written_it_is_the_same_program(installed: Path, start: Start, tmp_path: Path) -> None:
    start(installed)
    link = tmp_path / "link"
    link.symlink_to(installed.parent)
    for spelling in (link / installed.name, installed.parent / ".." / installed.parent.name / installed.name):
        assert Program(spelling).started() is not None


def test_none_and_several_tell_nothing(installed: Path, start: Start) -> None:
    assert Program(installed).started() is None
    start(installed)
    start(installed)
    assert Program(installed).started() is None


def test_a_start_in_the_future_was_written_down_by_another_clock(installed: Path, start: Start) -> None:
    # Given a terminal that was started before the clock was put back by an hour
    start(installed)
    clock = [datetime.now(UTC) - timedelta(hours=1)]
    program = Program(installed, lambda: clock[0])
    assert program.started() is None

    # When that hour has passed, the clock tells as little about it as before
    clock[0] += timedelta(hours=2)
    assert program.started() is None

    # But a terminal that was started since then is known by it
    program.end()
    start(installed)
    assert program.started() is not None


def test_it_is_ended_and_no_other(installed: Path, start: Start) -> None:
    mine, other = start(installed), start(_installed(installed.parent.parent / "Another Terminal"))

    assert Program(installed).end()

    assert not psutil.pid_exists(mine.pid)
    assert other.poll() is None
    assert not Program(installed).end()


def _process(**facts: Any) -> Any:
    def fails(error: type[Exception]) -> Callable[[], None]:
        def fail() -> None:
            raise error(1)

        return fail

    errors = {name: fails(error) for name, error in facts.pop("fails", {}).items()}
    info = {"exe": None, "name": "terminal64.exe"} | facts
    known = {"status": lambda: psutil.STATUS_RUNNING, "username": psutil.Process().username}
    return SimpleNamespace(info=info, pid=1, **(known | errors))


class Running:
    """What runs on the machine, in place of `psutil.process_iter`."""

    def __init__(self, *processes: Any) -> None:
        self.processes = processes
        self.remembered = True

    def __call__(self, _facts: list[str]) -> tuple[Any, ...]:
        assert not self.remembered, "a number that was given to another process would still show the first one"
        return self.processes

    def cache_clear(self) -> None:
        self.remembered = False


def test_one_that_may_be_it_and_cannot_be_looked_into_makes_it_unknown(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = psutil.Process(os.getpid())
    mine.info = {"exe": str(installed), "name": "terminal64.exe"}  # as process_iter does
    stranger, dead = _process(), _process(status=None, fails={"status": psutil.NoSuchProcess})
    protected = _process(fails={"status": psutil.AccessDenied})
    cases = (([mine, dead], True), ([mine, stranger], False), ([stranger], False), ([mine, protected], False))
    for running, known in cases:
        monkeypatch.setattr(psutil, "process_iter", Running(*running))
        assert (Program(installed).started() is not None) == known


def test_one_that_may_not_be_ended_is_told(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    protected = _process(exe=str(installed), fails={"kill": psutil.AccessDenied})
    monkeypatch.setattr(psutil, "process_iter", Running(protected))
    with pytest.raises(TerminalUnavailable, match="may not be ended"):
        Program(installed).end()


def test_one_that_lives_on_is_told(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = _process(exe=str(installed), kill=None)
    frozen.kill = lambda: None
    monkeypatch.setattr(psutil, "process_iter", Running(frozen))
    monkeypatch.setattr(psutil, "wait_procs", lambda running, _seconds: ([], running))
    with pytest.raises(TerminalUnavailable, match=r"did not end \(process 1\)"):
        Program(installed).end()


def test_one_that_has_just_gone_needs_no_ending(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = _process(exe=str(installed), fails={"kill": psutil.NoSuchProcess, "create_time": psutil.NoSuchProcess})
    monkeypatch.setattr(psutil, "process_iter", Running(gone))
    monkeypatch.setattr(psutil, "wait_procs", lambda running, _seconds: (running, []))
    assert Program(installed).started() is None
    assert Program(installed).end()


def test_another_user_s_process_is_neither_counted_nor_ended(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = psutil.Process(os.getpid())
    mine.info = {"exe": str(installed), "name": "terminal64.exe"}
    theirs = _process(exe=str(installed), kill=None)
    theirs.username = lambda: "somebody else"
    monkeypatch.setattr(psutil, "process_iter", Running(theirs))
    assert not Program(installed).end()
    monkeypatch.setattr(psutil, "process_iter", Running(mine, theirs))
    assert Program(installed).started() is not None


@pytest.mark.parametrize("error", [psutil.AccessDenied, OSError])
def test_one_whose_user_is_not_told_is_not_ended_and_makes_the_start_unknown(
    installed: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    mine = psutil.Process(os.getpid())
    mine.info = {"exe": str(installed), "name": "terminal64.exe"}
    hidden = _process(exe=str(installed), fails={"username": error})
    monkeypatch.setattr(psutil, "process_iter", Running(hidden))
    assert not Program(installed).end()
    monkeypatch.setattr(psutil, "process_iter", Running(mine, hidden))
    assert Program(installed).started() is None


def test_a_program_of_another_name_is_not_looked_for_on_its_disk(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a process whose program stands on a share that answers nothing
    resolved: list[Path] = []
    before = Path.resolve

    def resolve(self: Path) -> Path:
        resolved.append(self)
        return before(self)

    monkeypatch.setattr(Path, "resolve", resolve)
    monkeypatch.setattr(psutil, "process_iter", Running(_process(exe="/dead/share/other.exe", name="other.exe")))
    assert Program(installed).started() is None
    assert Path("/dead/share/other.exe") not in resolved
