"""
The connection between this process and its terminal, and what every call of the package has in common.

One terminal per process, one call at a time. A call that fails answers `None` (or `False`) and leaves its reason in
`last_error`, which is one for the whole process. A broken pipe stays broken until the next `initialize`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from threading import RLock
from typing import Any

from worker.mt5.simulated.book import Book
from worker.mt5.simulated.book_file import utc_msc
from worker.mt5.simulated.dealing import events, schedule
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.package import arguments
from worker.mt5.simulated.package.failures import SUCCESS, Failure, book_unusable, no_pipe, no_terminal, not_found
from worker.mt5.simulated.symbols import SYMBOLS, Symbol


class Pipe:
    """The terminal's side of this process: its book while connected, and what the terminal remembers."""

    def __init__(self, path: Path, *, netting: bool = False) -> None:
        self.lock = RLock()
        self.error: tuple[int, str] = SUCCESS
        self.selected: set[str] = set()
        self.jumps: dict[str, int] = {}  # symbols whose next tick shows a jump, with the type of the order checked
        self.folder = str(path.parent)  # where the book lies
        self._path, self._netting = path, netting
        self._book: Book | None = None
        self._latest: Desk | None = None

    def connect(self) -> None:
        """Start the terminal, or come back to it."""
        if self._book is None:
            try:
                self._book = Book(self._path, netting=self._netting)
            except sqlite3.DatabaseError as error:
                raise no_terminal(f"{self._path}: {error}") from error

    def disconnect(self) -> None:
        """Hang up, or lose the connection."""
        if self._book is not None:
            self._book.close()
            self._book = None

    @property
    def book(self) -> Book:
        """Return the open book, or fail as every call does without a connection."""
        if self._book is None:
            raise no_pipe()
        return self._book

    def desk(self) -> Desk:
        """Return the book at the present moment, with everything applied that was due."""
        self.book.refresh()
        desk = self._now()
        if not schedule.is_anything_due(desk):
            return desk
        with desk.book.transaction():
            events.apply_due(desk)
        return self._now()

    def asked_about(self, name: object) -> tuple[Desk, Symbol]:
        """Read a symbol argument and find the symbol: refused first, then unconnected, then unknown."""
        text = arguments.symbol_name(name)
        desk = self.desk()
        if text not in SYMBOLS:
            raise not_found()
        return desk, SYMBOLS[text]

    @contextmanager
    def writing_desk(self) -> Iterator[Desk]:
        """Open the desk for changes: one transaction, begun with what was due."""
        with self.book.transaction():
            desk = self._now()
            yield self._now() if events.apply_due(desk) else desk

    def _now(self) -> Desk:
        now, meta, latest = utc_msc(), self.book.meta(), self._latest
        if latest is None or latest.meta is not meta or latest.utc_msc != now:  # calls come several in a millisecond
            latest = self._latest = Desk(self.book, meta, now, self.selected)
        return latest


class Calls:
    """A group of the package's functions over one pipe."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe


def call(function: Callable[..., object]) -> Callable[..., Any]:
    """
    Make a method a function of the package: one at a time, `None` on failure with the reason in `last_error`.

    Where the package leaves an exception behind, the caller meets what Python makes of that: SystemError.
    """

    @wraps(function)
    def guarded(self: Calls, *args: object, **kwargs: object) -> object:
        with self.pipe.lock:
            self.pipe.error = SUCCESS
            try:
                return function(self, *args, **kwargs)
            except Failure as failure:
                self.pipe.error = failure.reason
                if failure.pending:
                    text = f"<built-in function {function.__name__}> returned a result with an exception set"
                    raise SystemError(text) from failure.pending
            except sqlite3.OperationalError:  # locked for too long, disk full: nobody knows what was done
                self.pipe.error = book_unusable().reason
            return None

    return guarded


def yes_or_no(function: Callable[..., bool]) -> Callable[..., bool]:
    """Make a method a function of the package that answers False on failure."""
    answer = call(function)

    @wraps(function)
    def guarded(self: Calls, *args: object, **kwargs: object) -> bool:
        return answer(self, *args, **kwargs) is True

    return guarded
