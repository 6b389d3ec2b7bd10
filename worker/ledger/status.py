"""How an account stands, at a glance. What it costs to ask does not grow with the executions that have ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.domain.errors import NotFound
from worker.domain.halts import Halts
from worker.ledger.encoding import Row
from worker.ledger.halts import halts_from
from worker.ledger.operators import Operator
from worker.ledger.statements import sql
from worker.settings import LEASE_SECONDS

MOST_COUNTED = 20_000  # of the executions of the last 24 hours: the newest
_HALT = ("halted", "halt_reason", "halted_by", "halted_at", "halt_holds", "symbol_halts")


@dataclass(frozen=True, slots=True)
class UnresolvedLine:
    """A trade that needs a person: its order may or may not stand at the broker."""

    execution_id: UUID
    trade_id: str
    symbol: str
    detail: str | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """
    All of it, as PostgreSQL has it `at` that moment of its clock (UTC).

    Ages are in seconds by the same clock, None where there is nothing that could have an age. `worker_report` is what
    the worker said when it last renewed its lease, so it is as old as the lease's last renewal.
    """

    account: str
    at: datetime
    backend: str | None
    server: str | None
    login: int | None
    halts: Halts
    lease_holder: str | None
    lease_epoch: int
    lease_age_seconds: float | None
    standbys: int  # workers that wait to take over
    worker_report: Mapping[str, Any]
    executions_by_state: Mapping[str, int]  # open ones of any age, others that arrived in the last 24 hours
    oldest_open_at: datetime | None
    unresolved: Sequence[UnresolvedLine]
    outbox_size: int
    outbox_age_seconds: float | None
    dead_letters_by_reason: Mapping[str, int]  # those that wait for an operator

    @property
    def halt(self) -> str | None:
        """Return the account's own halt in words, None when there is none."""
        return None if self.halts.account is None else str(self.halts.account)

    @property
    def is_led(self) -> bool:
        """Tell whether a worker leads the account and has been heard of within the length of its lease."""
        return self.lease_age_seconds is not None and self.lease_age_seconds <= LEASE_SECONDS


async def accounts(desk: Operator) -> Sequence[str]:
    """Return the names of all accounts of the ledger."""
    return [row["account"] for row in await _rows(desk, "all_accounts")]


async def status(desk: Operator, account: str) -> AccountStatus:
    """Return how an account stands. Raises NotFound."""
    rows = await _rows(desk, "account_status", account=account)
    if not rows:
        names = ", ".join(await accounts(desk)) or "none"
        raise NotFound(f"the ledger has no account {account}: no worker has run for it yet (accounts: {names})")
    states = await _rows(desk, "executions_by_state", account=account, most=MOST_COUNTED)
    letters = await _rows(desk, "dead_letters_by_reason", account=account)
    unresolved = await _rows(desk, "unresolved_lines", account=account)
    return AccountStatus(
        **{name: value for name, value in rows[0].items() if name not in _HALT},
        halts=halts_from(rows[0]),
        executions_by_state={row["state"]: row["count"] for row in states},
        unresolved=[UnresolvedLine(**row) for row in unresolved],
        dead_letters_by_reason={row["reason"]: row["count"] for row in letters},
    )


async def _rows(desk: Operator, statement: str, **values: Any) -> Sequence[Row]:
    cursor = await desk.connection.execute(sql(statement), values)
    return await cursor.fetchall()
