"""The child's link to its terminal: the package's module, kept connected, with failures told apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from worker import failpoints
from worker.domain.errors import TerminalUnavailable
from worker.domain.execution import Venue
from worker.domain.market import Health
from worker.mt5 import readings
from worker.mt5.wire import Opening, VenueFacts

_SUCCESS = 1  # RES_S_OK
_BROKEN = range(-10005, -9999)  # RES_E_INTERNAL_*: the pipe to the terminal is gone or out of step
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts to reconnect


class Link:
    """
    Calls the package's functions by name.

    The package never reconnects by itself. After a broken pipe the link does, before the next command, with growing
    pauses; commands in between fail with TerminalUnavailable.
    """

    def __init__(
        self,
        module: Any,
        opening: Opening,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        terminal_lives_here: bool = False,
    ) -> None:
        self.module = module
        self._terminal_lives_here = terminal_lives_here
        self._connected_at: datetime | None = None
        self._opening = opening
        self._monotonic = monotonic
        self._broken: str | None = None
        self._pause, self._retry_at = _FIRST_PAUSE, 0.0
        self._expected = (opening.login or 0, opening.server or "")

    @property
    def clean_since(self) -> datetime | None:
        """
        Return the time (UTC) since which no request handed over earlier can still leave; None when that is not known.

        A terminal inside this process takes one request at a time and forgets it with the connection. A terminal that
        is a process of its own may be frozen over a request and send it when it wakes up, however often we reconnect:
        only its restart would end that.
        """
        return self._connected_at if self._terminal_lives_here else None

    def open(self) -> None:
        """Connect for the first time; what was not prescribed of login and server is whatever is found."""
        self._initialize()
        account = self.call("account_info")
        if account is None:
            raise TerminalUnavailable(f"the terminal is logged out: {self.last_error()}")
        self._expected = (self._opening.login or account.login, self._opening.server or account.server)
        reading = self.health()
        if not readings.is_account(reading, self._expected):
            raise TerminalUnavailable(str(reading.problem))

    def facts(self, *, clock_offset_known: bool) -> VenueFacts:
        """Return where orders go."""
        reading, version = self.health(), self.call("version") or ()
        return VenueFacts(
            Venue(self._opening.backend, reading.server, reading.login, reading.venue_mode),
            reading.account_mode,
            " ".join(str(part) for part in version),
            clock_offset_known,
        )

    def health(self) -> Health:
        """Return whether an order could be sent now."""
        terminal, account = self.call("terminal_info"), self.call("account_info")
        return readings.health(terminal, account, self._opening.backend, self._expected)

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
        self._initialize()
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

    def _initialize(self) -> None:
        opening = self._opening
        path = [opening.terminal] if opening.terminal else []
        login_data = {"login": opening.login, "password": opening.password, "server": opening.server}
        given = {name: value for name, value in login_data.items() if value is not None}
        if opening.portable:
            given["portable"] = True
        if not self.module.initialize(*path, **given):
            self._broken = self.last_error()
            raise TerminalUnavailable(f"the terminal could not be opened: {self._broken}")
        self._connected_at = datetime.now(UTC)
        self._broken, self._pause, self._retry_at = None, _FIRST_PAUSE, 0.0

    def _notice_break(self, function: str) -> None:
        code, text = self.module.last_error()
        if code in _BROKEN:
            self._broken = f"{text} ({code})"
            raise TerminalUnavailable(f"the connection to the terminal broke in {function}: {self._broken}")
