"""
The process of an installed terminal: found by the path of its program, and by nothing else.

Another terminal on the same machine, even of the same broker, is another program in another folder: it is never looked
at, and never ended. Nor is the same program when another user of the machine runs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from worker.domain.errors import TerminalUnavailable

_ENDED_WITHIN_SECONDS = 5.0


class Program:
    """One installed program, such as terminal64.exe in one folder, and whatever runs from it."""

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._path = path
        self._now = now
        self._from_the_future: set[psutil.Process] = set()

    def started(self) -> datetime | None:
        """
        Return when the one process that our user runs of this program was started (UTC).

        None when there is none or several, or when that cannot be told: a process that looks as if it might be one
        may not be looked into, or its start was written down by a clock that has been put back since.
        """
        running = list(self._running())
        if len(running) != 1 or running[0] is None:
            return None
        return self._creation(running[0])

    def end(self) -> bool:
        """End what our user runs of it; False when nothing does. Raises TerminalUnavailable when it lives on."""
        running = [process for process in self._running() if process is not None]
        for process in running:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied as error:
                raise TerminalUnavailable(f"the hanging terminal {self._path} may not be ended: {error}") from None
        _, alive = psutil.wait_procs(running, _ENDED_WITHIN_SECONDS)
        if alive:
            raise TerminalUnavailable(f"the hanging terminal {self._path} did not end (process {alive[0].pid})")
        return bool(running)

    def _running(self) -> Iterator[psutil.Process | None]:
        """Return our user's processes of the program, None for each that may be one and does not let us see."""
        wanted = self._path.resolve()
        name = os.path.normcase(wanted.name)
        psutil.process_iter.cache_clear()  # a number may have passed from one process to another
        for process in psutil.process_iter(["exe", "name"]):
            path = process.info["exe"]
            if path:
                # By name first: a path on a share that does not answer would take long to resolve.
                if os.path.normcase(Path(path).name) == name and _spelled(Path(path)) == _spelled(wanted):
                    yield from _if_ours(process)
            elif os.path.normcase(process.info["name"] or "") == name and not _is_dead(process):
                yield None

    def _creation(self, process: psutil.Process) -> datetime | None:
        try:
            created = datetime.fromtimestamp(process.create_time(), UTC)
        except (psutil.Error, OSError):
            return None
        if created > self._now():
            self._from_the_future.add(process)
        return None if process in self._from_the_future else created


def _is_dead(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OSError):  # it may not be looked into
        return False


def _if_ours(process: psutil.Process) -> Iterator[psutil.Process | None]:
    """Return the process if it is our user's, None if that is not told, nothing if it is another user's."""
    try:
        if process.username() == psutil.Process().username():
            yield process
    except psutil.NoSuchProcess:
        return
    except (psutil.Error, OSError):  # its user cannot be named, for instance
        yield None


def _spelled(path: Path) -> str:
    """Return a path in the one spelling that all of its spellings share on this system."""
    return os.path.normcase(path.resolve())
