"""What speaks for a terminal that hangs, and when that is enough to restart it."""

from __future__ import annotations

_CONNECTIONS_IN_A_ROW = 3


class Symptoms:
    """
    Remembers what a session has met since its terminal last answered.

    Asked for a restart it says yes once and forgets: a terminal that comes up slowly needs its time.
    """

    def __init__(self, *, can_restart: bool) -> None:
        self._can_restart = can_restart
        self._hung = False
        self._failed_connections = 0
        self.restarts = 0

    @property
    def are_enough(self) -> bool:
        """Tell whether the terminal should be restarted."""
        return self._can_restart and (self._hung or self._failed_connections >= _CONNECTIONS_IN_A_ROW)

    def hung(self) -> None:
        """Note that it did not answer in time."""
        self._hung = True

    def not_reached(self) -> None:
        """Note that it did not let itself be connected to."""
        self._failed_connections += 1

    def answered(self) -> None:
        """Note that it is well."""
        self._hung, self._failed_connections = False, 0

    def restart(self) -> bool:
        """Tell whether to restart it now."""
        if not self.are_enough:
            return False
        self.answered()
        self.restarts += 1
        return True
