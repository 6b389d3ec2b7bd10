"""A worker's tenure of an account: under which epoch it writes, and what it has last seen of the account's row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from worker.domain.errors import LeaseLost
from worker.ledger.halts import SeenHalts
from worker.ledger.view import AccountRow, View
from worker.ports import Clock, Event, Watermark
from worker.settings import LEASE_SECONDS

T = TypeVar("T", datetime, int)


@dataclass(slots=True)
class Tenure:
    """
    Shared by all that write for the worker. `epoch` is 0 before the lease is taken.

    `on_lost` is called once, when the epoch is seen to have moved on.
    """

    account: str
    worker_id: str
    on_lost: Callable[[], None] = lambda: None
    epoch: int = 0
    predecessor: str | None = None  # who held the lease until it was taken over; None when it was free
    has_written: bool = False  # a take-over that finds nothing to do leaves no trace in the audit trail
    held_until: tuple[datetime, float] = (datetime.min.replace(tzinfo=UTC), float("-inf"))
    halts: SeenHalts = field(default_factory=SeenHalts)
    namespaces: frozenset[int] = field(default_factory=frozenset)
    known_since: datetime | None = None  # before this, the ledger may have lost what it knew
    watermark: Watermark = field(default_factory=Watermark)
    is_lost: bool = False

    def see(self, row: AccountRow | None) -> AccountRow:
        """Take note of the locked row; raises LeaseLost when another worker has the account."""
        if row is None or row.epoch != self.epoch or row.holder != self.worker_id:
            raise self.lost()
        self.halts.note(row.halts)
        return row

    def beginning(self) -> Event:
        """Return the event that precedes the first that this tenure writes."""
        about = {"epoch": self.epoch, "holder": self.worker_id, "previous_holder": self.predecessor}
        return Event("lease_taken", about)

    def renewed(self, began: datetime, began_monotonic: float) -> None:
        """Take note of a renewal, by the clocks as they stood before it: no other worker takes over for a lease now."""
        self.held_until = began + timedelta(seconds=LEASE_SECONDS), began_monotonic + LEASE_SECONDS

    def left(self, clock: Clock) -> float:
        """Return the seconds of the lease that are left, by the clock that leaves less: one may have stood still."""
        until, until_monotonic = self.held_until
        return min((until - clock.now()).total_seconds(), until_monotonic - clock.monotonic())

    def learn(self, view: View) -> None:
        """
        Take note of what the jobs of a batch have left, before it is committed.

        A halt or a namespace that the commit does not bring does no harm until the next look at the account's row.
        """
        self.halts.note(view.account.halts)
        self.known_since = view.known_since or self.known_since
        self.learn_namespaces(view.prefixes)

    def learn_namespaces(self, known: Iterable[int]) -> None:
        """Take note of namespaces."""
        self.namespaces |= set(known)

    def compared(self, watermark: Watermark) -> None:
        """Move the watermark on; it never goes back."""
        self.watermark = Watermark(
            _later(self.watermark.looked_until, watermark.looked_until),
            _later(self.watermark.newest_deal, watermark.newest_deal),
        )

    def forget_witness(self) -> None:
        """Forget the newest deal: the account's history does not hold it any more."""
        self.watermark = Watermark(self.watermark.looked_until, None)

    def lost(self) -> LeaseLost:
        """Take note that the lease is lost, and return the error to raise."""
        if not self.is_lost:
            self.is_lost = True
            self.on_lost()
        return LeaseLost(
            f"another worker has taken over account {self.account}: this one ({self.worker_id}, epoch {self.epoch}) "
            "must not send or write any more"
        )


def _later(one: T | None, other: T | None) -> T | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)
