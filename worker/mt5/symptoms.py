"""What speaks for a terminal that hangs, and when that is enough to restart it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable

from worker.mt5 import wire

_AT_ONCE = frozenset(command.name for command in (wire.SUBMIT, wire.CANCEL, wire.OPEN))
_HANGS_IN_A_ROW = 5  # over one kind of question: more than a history that is being loaded explains
_TROUBLED_SECONDS = 60.0  # as long as the package itself waits for a terminal that comes up or updates itself
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 1800.0  # seconds between two restarts at least
_WELL_SECONDS = 3600.0  # without a restart, more than troubles and the longest pause together: it was well again


class Symptoms:
    """
    Remembers what a session has met since its terminal last answered.

    A frozen terminal is one that hung over an order, over a cancellation or over a connection. A question that took
    too long may only have been slow: it is the connection after it that tells, unless the same question hung five
    times and was never answered in between. What was not reached for a minute counts as frozen.

    Asked for a restart it says yes once and forgets, and not again before a pause, which grows as long as restarting
    does not help: a terminal that comes up slowly needs its time.
    """

    def __init__(self, *, can_restart: bool, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._can_restart = can_restart
        self._monotonic = monotonic
        self._is_frozen = False
        self._troubled_since: float | None = None
        self._hangs = Counter[str]()  # over each question, since it was last answered
        self._restarted_at, self._pause = -math.inf, _FIRST_PAUSE
        self.restarts = 0

    @property
    def are_enough(self) -> bool:
        """Tell whether the terminal should be restarted now."""
        return self._can_restart and self._is_frozen and self._since_restart() >= self._pause

    def hung(self, command: str) -> None:
        """Note over which command it did not answer in time."""
        self._hangs[command] += 1
        if command in _AT_ONCE or self._hangs[command] >= _HANGS_IN_A_ROW:
            self._is_frozen = True
        else:
            self.not_reached()

    def not_reached(self) -> None:
        """Note that it did not let itself be connected to."""
        now = self._monotonic()
        if self._troubled_since is None:
            self._troubled_since = now
        elif now - self._troubled_since >= _TROUBLED_SECONDS:
            self._is_frozen = True

    def answered(self, command: str) -> None:
        """Note what it has answered: it is well, but for the questions that it hangs over."""
        self._is_frozen, self._troubled_since = False, None
        del self._hangs[command]

    def restart(self) -> bool:
        """Tell whether to restart it now."""
        if not self.are_enough:
            return False
        was_well = self._since_restart() > _WELL_SECONDS
        self._pause = _FIRST_PAUSE if was_well else min(2 * self._pause, _LONGEST_PAUSE)
        self._restarted_at = self._monotonic()
        self._is_frozen, self._troubled_since = False, None
        self._hangs.clear()
        self.restarts += 1
        return True

    def _since_restart(self) -> float:
        return self._monotonic() - self._restarted_at
