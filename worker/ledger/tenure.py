"""A worker's tenure of an account: under which epoch it writes, and what it has last seen of the account's row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from worker.domain.errors import LeaseLost
from worker.ledger.view import AccountRow


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
    halt: str | None = None
    namespace: int = 0
    namespaces: frozenset[int] = field(default_factory=frozenset)
    is_lost: bool = False

    def see(self, row: AccountRow | None) -> AccountRow:
        """Take note of the locked row; raises LeaseLost when another worker has the account."""
        if row is None or row.epoch != self.epoch or row.holder != self.worker_id:
            raise self.lost()
        self.halt = row.halt
        return row

    def lost(self) -> LeaseLost:
        """Take note that the lease is lost, and return the error to raise."""
        if not self.is_lost:
            self.is_lost = True
            self.on_lost()
        return LeaseLost(
            f"another worker has taken over account {self.account}: this one ({self.worker_id}, epoch {self.epoch}) "
            "must not send or write any more"
        )
