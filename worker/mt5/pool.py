"""The terminal sessions of one account, by name."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from worker.domain.errors import TerminalUnavailable, WrongSetting
from worker.mt5.session import TerminalSession
from worker.mt5.wire import Opening

_PATHS = (PureWindowsPath, PurePosixPath)
Connection = tuple[str, TerminalSession]


class SessionOptions(BaseModel):
    """
    What a session's dictionary may say.

    `backend` must be named: simulated fills must never be taken for real ones. `book` is the simulated broker's file
    (a private temporary one without it), a new one is opened for a `netting` account or else a hedging one; the others
    are MetaTrader's: the path of terminal64.exe, login data, and
    whether the terminal keeps its data beside its program. With `restarts_terminal` a terminal that hangs is ended, by
    its path alone, and started anew, whatever else runs in it. `timeout` is the limit of one call in seconds. With a
    `silence_limit` the session gives its terminal up when it is not called for so many seconds: then this process is
    frozen, and another one may need the terminal.
    """

    model_config = ConfigDict(extra="forbid")

    backend: Literal["simulated", "native"]
    book: Path | None = None
    netting: bool = False
    terminal: str | None = None
    login: int | None = Field(default=None, gt=0)
    password: SecretStr | None = None
    server: str | None = None
    portable: bool = False
    restarts_terminal: bool = False
    timeout: float = Field(default=10, gt=0)
    silence_limit: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _a_book_is_simulated(self) -> Self:
        if self.backend == "native" and self.book is not None:
            raise ValueError("a book belongs to the simulated backend; leave it out for native")
        return self

    @model_validator(mode="after")
    def _a_terminal_is_a_full_path(self) -> Self:
        # The terminal's process is recognised by it, wherever this process was started.
        if self.terminal is not None and not any(path(self.terminal).is_absolute() for path in _PATHS):
            raise ValueError(f"the terminal is {self.terminal!r}: write the full path of terminal64.exe")
        return self


class MT5ConnectionPool:
    """
    Holds terminal sessions and lends them, each to one borrower at a time.

    `sessions` maps names to dictionaries, for instance ``{"main": {"backend": "simulated"}}`` (see SessionOptions);
    `symbols` are watched when a terminal is opened, to learn the server's clock early. The terminals are opened at
    the first use. Raises WrongSetting when a dictionary says something impossible.
    """

    def __init__(self, sessions: Mapping[str, Mapping[str, Any]], symbols: Iterable[str] = ()) -> None:
        if not sessions:
            raise WrongSetting('sessions: name at least one, for instance {"main": {"backend": "simulated"}}')
        options = {name: _options(name, given) for name, given in sessions.items()}
        self._private_folder: str | None = None
        watched = tuple(symbols)
        self._changed = threading.Condition()  # a session is given back, or becomes ready
        self.sessions: dict[str, TerminalSession] = {
            name: TerminalSession(self._opening(name, option, watched), self._changed)
            for name, option in options.items()
        }
        self._lent: set[str] = set()
        self._started = self._closed = False

    def start(self) -> None:
        """Begin to open every terminal; returns at once."""
        if not self._started:
            self._started = True
            atexit.register(self.close)
        for session in self.sessions.values():
            session.start()

    def get_connection(self, timeout: float = 10) -> Connection:
        """Borrow a session that is free and ready, as (name, session); raises TerminalUnavailable after `timeout` s."""
        self.start()
        with self._changed:
            session = self._ready_one(self._free, timeout)
            self._lent.add(session.name)
        return session.name, session

    def release_connection(self, connection: Connection) -> None:
        """Give a borrowed session back."""
        with self._changed:
            self._lent.discard(connection[0])
            self._changed.notify_all()

    def session(self, timeout: float = 10) -> TerminalSession:
        """Return a session that is ready, borrowed or not, for a single call under its own lock."""
        self.start()
        with self._changed:
            return self._ready_one(self.sessions.values, timeout)

    def close(self, patience: float = 5.0) -> None:
        """
        End every session's process; all may finish what they are doing within `patience` seconds.

        First no session takes another call, then one after the other is given what is left of the patience. A child
        that ends in time leaves its terminal by `shutdown()`; the terminal itself goes on, with whatever it shows.
        """
        atexit.unregister(self.close)
        self._closed = True
        for session in self.sessions.values():
            session.retire()
        give_up_at = time.monotonic() + patience
        for session in self.sessions.values():
            session.close(max(0.0, give_up_at - time.monotonic()))
        if self._private_folder is not None:
            shutil.rmtree(self._private_folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ready_one(self, among: Callable[[], Iterable[TerminalSession]], timeout: float) -> TerminalSession:
        """Wait for the first of them that is ready; the caller holds the condition."""

        def ready() -> TerminalSession | None:
            return next((session for session in among() if session.is_ready()), None)

        self._changed.wait_for(lambda: self._closed or ready(), timeout)
        found = ready()
        if found is None:
            raise self._why_none(next(iter(among()), None))
        return found

    def _why_none(self, free: TerminalSession | None) -> TerminalUnavailable:
        if free is not None:
            return free.unavailable()
        return TerminalUnavailable("every terminal session is lent to someone; give one back with release_connection()")

    def _free(self) -> list[TerminalSession]:
        return [session for name, session in self.sessions.items() if name not in self._lent]

    def _opening(self, name: str, options: SessionOptions, symbols: tuple[str, ...]) -> Opening:
        password = options.password
        return Opening(
            session=name,
            backend=options.backend,
            book=self._book(options),
            netting=options.netting,
            terminal=options.terminal,
            login=options.login,
            password=None if password is None else password.get_secret_value(),
            server=options.server,
            portable=options.portable,
            restarts_terminal=options.restarts_terminal,
            symbols=symbols,
            call_timeout=options.timeout,
            silence_limit=options.silence_limit,
        )

    def _book(self, options: SessionOptions) -> Path | None:
        if options.backend == "native":
            return None
        if options.book is not None:
            return options.book.resolve()
        if self._private_folder is None:
            self._private_folder = tempfile.mkdtemp(prefix="mt5-worker-")
        return Path(self._private_folder) / "book.sqlite"


def _options(name: str, given: Mapping[str, Any]) -> SessionOptions:
    try:
        return SessionOptions.model_validate(given)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        lines = [f"sessions[{name!r}] {'.'.join(map(str, p['loc']))}: {_advice(p)}" for p in problems]
        raise WrongSetting("\n".join(lines)) from None


def _advice(problem: Mapping[str, Any]) -> str:
    if problem["loc"] == ("backend",):
        return 'write "backend": "simulated" or "backend": "native"; there is no default'
    return str(problem["msg"]).removeprefix("Value error, ")
