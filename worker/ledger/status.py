"""How an account stands, at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.domain.errors import NotFound
from worker.ledger.encoding import Row
from worker.ledger.operators import Operator
from worker.ledger.statements import sql


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
    """All of it. Ages in seconds by PostgreSQL's clock, None where there is nothing that could have an age."""

    account: str
    backend: str | None
    server: str | None
    login: int | None
    halt: str | None
    halted_at: datetime | None
    lease_holder: str | None
    lease_epoch: int
    lease_age_seconds: float | None
    worker_report: Mapping[str, Any]
    executions_by_state: Mapping[str, int]
    oldest_open_at: datetime | None
    unresolved: Sequence[UnresolvedLine]
    outbox_size: int
    outbox_age_seconds: float | None
    dead_letters_by_reason: Mapping[str, int]  # those that wait for an operator


async def accounts(desk: Operator) -> Sequence[str]:
    """Return the names of all accounts of the ledger."""
    return [row["account"] for row in await _rows(desk, "all_accounts")]


async def status(desk: Operator, account: str) -> AccountStatus:
    """Return how an account stands. Raises NotFound."""
    rows = await _rows(desk, "account_status", account=account)
    if not rows:
        raise NotFound(f"the ledger has no account {account}: no worker has run for it yet")
    states = await _rows(desk, "executions_by_state", account=account)
    letters = await _rows(desk, "dead_letters_by_reason", account=account)
    unresolved = await _rows(desk, "unresolved_lines", account=account)
    return AccountStatus(
        **rows[0],
        executions_by_state={row["state"]: row["count"] for row in states},
        unresolved=[UnresolvedLine(**row) for row in unresolved],
        dead_letters_by_reason={row["reason"]: row["count"] for row in letters},
    )


async def _rows(desk: Operator, statement: str, **values: Any) -> Sequence[Row]:
    cursor = await desk.connection.execute(sql(statement), values)
    return await cursor.fetchall()
