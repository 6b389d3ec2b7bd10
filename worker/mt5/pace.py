"""How much goes to a terminal in one command: no more than is done in a moment, so that nothing else waits long."""

from __future__ import annotations

MOMENT_SECONDS = 0.05  # the longest that a command of several parts is expected to take
MOST = 64  # parts of one command
_MEMORY = 0.9  # share of the past in the running average of a part's time
_AT_FIRST_SECONDS = 0.002


class Pace:
    """Learns how long a part of a command takes. One that is slower than the moment goes alone."""

    def __init__(self) -> None:
        self._seconds = _AT_FIRST_SECONDS

    @property
    def at_once(self) -> int:
        """Return how many parts the next command may have."""
        return max(1, min(MOST, int(MOMENT_SECONDS / self._seconds)))

    def took(self, seconds: float, parts: int) -> None:
        """Learn that so many parts have taken so long together."""
        past = _MEMORY**parts
        self._seconds = max(past * self._seconds + (1 - past) * seconds / parts, 1e-6)
