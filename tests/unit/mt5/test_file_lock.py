"""One process per terminal."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from worker.domain.errors import TerminalUnavailable
from worker.mt5 import file_lock

_HOLDER = """
import sys
from pathlib import Path
from worker.mt5 import file_lock
held = file_lock.hold(Path(sys.argv[1]), 0)
print("held", flush=True)
sys.stdin.read()
"""
_ROOT = Path(__file__).parents[3]


def test_a_lock_that_another_process_holds_is_refused_until_that_has_ended(tmp_path: Path) -> None:
    path, pipe = tmp_path / "folder" / "terminal.lock", subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _HOLDER, path], cwd=_ROOT, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(TerminalUnavailable, match=r"another process .*terminal\.lock"):
            file_lock.hold(path, patience=0.05)
        holder.kill()
        file_lock.hold(path, patience=5).close()


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "terminal.lock"
    first = file_lock.hold(path, patience=0)
    threading.Timer(0.1, first.close).start()
    file_lock.hold(path, patience=5).close()


def test_one_terminal_has_one_lock_however_its_path_is_written(tmp_path: Path) -> None:
    program = tmp_path / "terminal64.exe"
    same = file_lock.lock_file_of_terminal(str(tmp_path / "x" / ".." / "terminal64.exe"))
    assert file_lock.lock_file_of_terminal(str(program)) == same
    assert file_lock.lock_file_of_terminal(None) != same


def test_a_terminal_s_lock_is_the_same_for_every_user_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a folder that all users share, and a temporary one for each user, as on Windows
    monkeypatch.setenv("PROGRAMDATA", str(tmp_path / "shared"))
    monkeypatch.setattr("worker.settings.tempfile.gettempdir", lambda: str(tmp_path / "mine"))
    assert tmp_path / "shared" in file_lock.lock_file_of_terminal("terminal64.exe").parents


def test_a_lock_file_that_is_another_user_s_is_locked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a file that may only be read, and that another user's process holds
    path = tmp_path / "terminal.lock"
    theirs = file_lock.hold(path, patience=0)
    _may_only_be_read(path, monkeypatch)
    with pytest.raises(file_lock.TerminalInUse):
        file_lock.hold(path, patience=0)
    # When that process has ended
    theirs.close()
    file_lock.hold(path, patience=0).close()


def _may_only_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deny what an administrator, who may run the tests, is never denied."""
    before = Path.open

    def opened(self: Path, mode: str = "r", **more: Any) -> Any:
        if self == path and mode != "rb":
            raise PermissionError(13, "Permission denied", str(path))
        return before(self, mode, **more)

    monkeypatch.setattr(Path, "open", opened)


def test_sessions_of_one_book_have_a_lock_each(tmp_path: Path) -> None:
    book = tmp_path / "book.sqlite"
    assert file_lock.lock_file_of_book(book, "a") != file_lock.lock_file_of_book(book, "b")
    assert file_lock.lock_file_of_book(book, "a").parent == tmp_path


def test_a_lock_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "no folder").touch()
    with pytest.raises(TerminalUnavailable, match="cannot be opened"):
        file_lock.hold(tmp_path / "no folder" / "terminal.lock", patience=0)
