"""The child's link to its terminal: the package's module, kept connected, with failures told apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from worker import failpoints
from worker.domain.errors import TerminalUnavailable
from worker.domain.execution import Venue
from worker.domain.market import Custody, Health
from worker.mt5 import readings
from worker.mt5.wire import INITIALIZE_SECONDS, Opening, Standing, TerminalUnreachable, VenueFacts

_SUCCESS = 1  # RES_S_OK
_BROKEN = range(-10005, -9999)  # RES_E_INTERNAL_*: the pipe to the terminal is gone or out of step
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts to reconnect
_RECONNECTING_SHARE = 0.5  # of a call's time limit; the other half is for what was to be called


class Process(Protocol):
    """The terminal's process, where it has one of its own that can be told from all others."""

    def started(self) -> datetime | None:
        """Return when it was started (UTC); None when that is not known."""
        ...


class Link:
    """
    Calls the package's functions by name.

    The package never reconnects by itself. After a broken pipe the link does, before the next command, with growing
    pauses; commands in between fail with TerminalUnavailable. With `terminal_lives_here` the terminal is this very
    process; else `process` is its own, where that can be told.
    """

    def __init__(  # noqa: PLR0913 - each by its name; the clocks are there for stories
        self,
        module: Any,
        opening: Opening,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        terminal_lives_here: bool = False,
        process: Process | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.module = module
        self._terminal_lives_here, self._process = terminal_lives_here, process
        self._clean_since: datetime | None = None
        self._opening = opening
        self._program = opening.terminal if opening.backend == "native" else None
        self._monotonic, self._now = monotonic, now
        self._broken: str | None = None
        self._pause, self._retry_at = _FIRST_PAUSE, 0.0
        self._expected = opening.account or (opening.login or 0, opening.server or "")

    @property
    def sender(self) -> str:
        """Return the terminal's name."""
        return self._opening.sender

    @property
    def custody(self) -> Custody:
        """
        Return what the terminal may still hold.

        A terminal inside this process takes one request at a time and forgets it with the connection. A terminal that
        is a process of its own may be frozen over a request and send it when it wakes up, however often we reconnect:
        it is clean of what it was given before it was started. That was asked when this link last connected: a
        terminal that is restarted breaks the connection. A moment to come was written down by a clock that has been put
        back since: it is forgotten for good.
        """
        if self._clean_since is not None and self._clean_since > self._now():
            self._clean_since = None
        return Custody(self._clean_since, in_session=self._terminal_lives_here)

    def open(self) -> None:
        """Connect for the first time; what was not prescribed of login and server is whatever is found."""
        self._initialize(INITIALIZE_SECONDS)
        account = self.call("account_info")
        if account is None:
            raise TerminalUnavailable(f"the terminal is logged out: {self.last_error()}")
        found = (self._opening.login or account.login, self._opening.server or account.server)
        self._expected = self._opening.account or found
        self._right_account()

    def standing(self) -> Standing:
        """Return how it stands with this session."""
        return Standing(self.health(), self.custody)

    def facts(self, *, clock_offset_known: bool) -> VenueFacts:
        """Return where orders go."""
        reading, version = self._right_account(), self.call("version") or ()
        return VenueFacts(
            Venue(self._opening.backend, reading.server, reading.login, reading.venue_mode),
            reading.account_mode,
            " ".join(str(part) for part in version),
            clock_offset_known,
            self.custody,
        )

    def health(self) -> Health:
        """Return whether an order could be sent now."""
        terminal, account = self.call("terminal_info"), self.call("account_info")
        return readings.health(terminal, account, self._opening.backend, self._expected, self._program)

    def is_expected(self, reading: Health) -> bool:
        """Tell whether the terminal is logged in to the account of this session."""
        return readings.is_account(reading, self._expected)

    def ensure(self) -> bool:
        """Reconnect if the pipe is broken; True when it had to. Raises TerminalUnavailable while it cannot."""
        if self._broken is None:
            return False
        if self._monotonic() < self._retry_at:
            raise TerminalUnavailable(f"the connection to the terminal is lost: {self._broken}")
        self._retry_at = self._monotonic() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self.module.shutdown()
        self._initialize(_RECONNECTING_SHARE * self._opening.call_timeout)
        return True

    def call(self, function: str, *arguments: Any, **named: Any) -> Any:
        """Call a function of the package; None or False is failure. Raises TerminalUnavailable on a broken pipe."""
        result = getattr(self.module, function)(*arguments, **named)
        if result is None or result is False:
            self._notice_break(function)
        return result

    def rows(self, function: str, *arguments: Any, **named: Any) -> tuple[Any, ...] | None:
        """Look something up; None when unreadable. An empty answer may hide an error, so it is checked."""
        result = self.call(function, *arguments, **named)
        if result is None or (not result and self.module.last_error()[0] != _SUCCESS):
            return None
        return tuple(result)

    def total(self, function: str, begin: int, end: int) -> int | None:
        """Count something between two seconds; None when unreadable. A zero may hide an error as well."""
        total = self.call(function, begin, end)
        unreadable = total is None or (not total and self.module.last_error()[0] != _SUCCESS)
        return None if unreadable else int(total)

    def send(self, request: dict[str, Any]) -> tuple[Any, int | None, str]:
        """Send a trade request once: the result or None, and then the package's last error and its text."""
        purpose = "cancel" if "order" in request else "submit"
        failpoints.hit("session.send.before", purpose)
        result = self.module.order_send(request)
        failpoints.hit("session.send.after", purpose)
        if result is not None:
            return result, None, ""
        code, text = self.module.last_error()
        if code in _BROKEN:
            self._broken = f"{text} ({code})"
        return None, code, text

    def last_error(self) -> str:
        """Return the package's last error in words."""
        code, text = self.module.last_error()
        return f"{text} ({code})"

    def _right_account(self) -> Health:
        reading = self.health()
        if not readings.is_account(reading, self._expected):
            raise TerminalUnavailable(str(reading.problem))
        return reading

    def _initialize(self, within: float) -> None:
        opening = self._opening
        path = [opening.terminal] if opening.terminal else []
        login_data = {"login": opening.login, "password": opening.password, "server": opening.server}
        given: dict[str, Any] = {name: value for name, value in login_data.items() if value is not None}
        if opening.portable:
            given["portable"] = True
        if not self.module.initialize(*path, **given, timeout=int(within * 1000)):
            raise self._not_opened()
        self._check_program()
        self._clean_since = self._started()
        self._broken, self._pause, self._retry_at = None, _FIRST_PAUSE, 0.0

    def _not_opened(self) -> TerminalUnavailable:
        code, _ = self.module.last_error()
        self._broken = self.last_error()
        kind = TerminalUnreachable if code in _BROKEN else TerminalUnavailable
        return kind(f"the terminal could not be opened: {self._broken}")

    def _check_program(self) -> None:
        """See that the package has not connected to another terminal of this machine."""
        if self._program is None:
            return
        self._broken = readings.wrong_program(self.call("terminal_info"), self._program)
        if self._broken is not None:
            raise TerminalUnavailable(self._broken)

    def _started(self) -> datetime | None:
        if self._terminal_lives_here:
            return self._now()
        return self._process.started() if self._process is not None else None

    def _notice_break(self, function: str) -> None:
        code, text = self.module.last_error()
        if code in _BROKEN:
            self._broken = f"{text} ({code})"
            raise TerminalUnavailable(f"the connection to the terminal broke in {function}: {self._broken}")
