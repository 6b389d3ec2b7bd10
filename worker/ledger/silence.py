"""How a standby judges that a holder has gone silent: by what it has watched itself, on its own monotonic clock."""

from __future__ import annotations

from worker.ports import Clock
from worker.settings import LEASE_SECONDS

BLIND_SECONDS = 3.0  # whoever has not looked for longer than this does not know what happened meanwhile


class Silence:
    """Watches the renewals of a lease. Clocks of two machines are never compared."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: tuple[int, int] | None = None
        self._since = self._looked_at = 0.0

    def has_lasted(self, epoch: int, counter: int) -> bool:
        """
        Tell, at each look, whether the counter was watched standing still for the whole lease time.

        An outage of PostgreSQL, in which a holder cannot renew either, or a pause of this process, is no silence.
        """
        now = self._clock.monotonic()
        if self._seen != (epoch, counter) or now - self._looked_at > BLIND_SECONDS:
            self._seen, self._since = (epoch, counter), now
        self._looked_at = now
        return now - self._since >= LEASE_SECONDS
