"""
One process per terminal: an operating-system lock on a file.

The system releases it when its holder ends, however it ends, so it never has to be cleaned up.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import BinaryIO

from worker.domain.errors import TerminalUnavailable
from worker.settings import shared_folder

_PAUSE_SECONDS = 0.02


class TerminalInUse(TerminalUnavailable):
    """Another process holds the terminal. That may end at any moment."""


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: BinaryIO) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_file_of_book(book: Path, session: str) -> Path:
    """Return the lock file of a simulated terminal: it stands beside the broker's book, one for each session's name."""
    return book.with_name(f"{book.name}.{session}.lock")


def lock_file_of_terminal(program: str | None) -> Path:
    """Return the lock file of an installed terminal: the same for every user, and every spelling of its program."""
    known_as = os.path.normcase(Path(program).resolve()) if program else "default terminal"
    return shared_folder() / "mt5-worker" / f"{hashlib.sha256(known_as.encode()).hexdigest()[:16]}.lock"


def _opened(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _opened_by_whomever(path)
    except OSError as error:
        raise TerminalUnavailable(
            f"the terminal's lock file cannot be opened: {error}; let this user read and write it"
        ) from None


def _opened_by_whomever(path: Path) -> BinaryIO:
    try:
        return path.open("ab")
    except PermissionError:
        return path.open("rb")  # another user has made it; to lock it, reading is enough


def hold(path: Path, patience: float) -> BinaryIO:
    """
    Lock the file for as long as the returned object lives, waiting at most `patience` seconds.

    Raises TerminalInUse when another process keeps it, TerminalUnavailable when the file cannot be opened.
    """
    file = _opened(path)
    give_up_at = time.monotonic() + patience
    while True:
        try:
            _try_lock(file)
        except OSError:
            if time.monotonic() >= give_up_at:
                file.close()
                raise TerminalInUse(
                    f"another process is using this terminal (it holds {path}); end it, or give this session a "
                    "terminal of its own"
                ) from None
            time.sleep(_PAUSE_SECONDS)
        else:
            return file
