"""The watchdog of a session's process: it ends the process when a call hangs and the parent has not ended it."""

from __future__ import annotations

import faulthandler
import time

_PARENT_IS_QUICKER = 2.0  # seconds
_STANDARD_ERROR = 2
_FED_EVERY_SECONDS = 1.0  # arming starts and ends a thread of the system: too dear for every command


class Watchdog:
    """
    Ends this process some seconds after the time limit of a call: then the parent, who is quicker, is gone.

    It is a thread of C code: it works although a hanging call of the package holds the interpreter. It stays armed from
    one call to the next, so that a call has its limit and at most a second more, until someone lets it rest.
    """

    def __init__(self) -> None:
        self._limit: float | None = None  # seconds; None while it rests
        self._fed_at = 0.0

    def feed(self, limit: float) -> None:
        """Allow what begins now `limit` seconds, and the parent some more to end it."""
        now = time.monotonic()
        if limit != self._limit or now - self._fed_at >= _FED_EVERY_SECONDS:
            self._limit, self._fed_at = limit, now
            seconds = limit + _PARENT_IS_QUICKER + _FED_EVERY_SECONDS
            faulthandler.dump_traceback_later(seconds, exit=True, file=_STANDARD_ERROR)

    def rest(self) -> None:
        """End nothing until it is fed again."""
        if self._limit is not None:
            self._limit = None
            faulthandler.cancel_dump_traceback_later()
