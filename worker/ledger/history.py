"""Looking at trades: listings, and everything that is known of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from worker.domain.errors import NotFound, Refused
from worker.domain.execution import Attempt, Execution
from worker.ledger.audit import AuditRow
from worker.ledger.encoding import Row
from worker.ledger.operators import Operator
from worker.ledger.records import attempt_from, execution_from
from worker.ledger.statements import sql


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions to list; None means any. Times bound the arrival: since <= time < until."""

    account: str | None = None
    state: str | None = None
    symbol: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExecutionLine:
    """One execution in a listing. Units of the base asset, lots, UTC."""

    execution_id: UUID
    trade_id: str
    account: str
    symbol: str
    direction: int
    units: Decimal | None
    status: str
    version: int
    reason: str | None
    requested_lots: Decimal | None
    executed_lots: Decimal
    received_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredConfirmation:
    """One version of a confirmation, with when it was published."""

    version: int
    status: str
    final: bool
    routing_key: str
    correlation_id: str | None
    message_id: str
    body: bytes
    created_at: datetime
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class LetterOfTrade:
    """One dead letter of a trade, without its message. `state`: new, replaying, resolved, failed_again or discarded."""

    id: UUID
    reason: str
    detail: str
    state: str
    account: str | None
    trade_id: str | None
    execution_id: UUID | None
    source_queue: str
    failed_at: datetime | None
    taken_in_at: datetime
    state_by: str | None
    state_reason: str | None
    state_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReplayLine:
    """One replay of a dead letter and what became of it."""

    replay_id: UUID
    letter_id: UUID
    by: str
    reason: str
    allow_stale: bool
    created_at: datetime
    consumed_at: datetime | None
    consumed_as: str | None


@dataclass(frozen=True, slots=True)
class ExecutionStory:
    """Everything the ledger knows of one trade."""

    execution: Execution
    attempts: Sequence[Attempt]
    events: Sequence[AuditRow]
    confirmations: Sequence[StoredConfirmation]
    dead_letters: Sequence[LetterOfTrade]
    replays: Sequence[ReplayLine]


async def executions(desk: Operator, wanted: ExecutionFilter, limit: int) -> Sequence[ExecutionLine]:
    """Return the newest executions that fit, newest first."""
    rows = await _rows(desk, "list_executions", **asdict(wanted), limit=limit)
    return [ExecutionLine(**row) for row in rows]


async def execution(desk: Operator, name: str) -> ExecutionStory:
    """Return all of the trade with this execution id or trade id. Raises NotFound, Refused when several have it."""
    return await _story(desk, await find(desk, name))


async def find(desk: Operator, name: str) -> Execution:
    """Return the execution with this execution id or trade id. Raises NotFound, Refused when several have it."""
    found = await _rows(desk, "executions_by_name", execution_id=_uuid(name), trade_id=name)
    if not found:
        raise NotFound(f"the ledger has no execution and no trade with the id {name}")
    if len(found) > 1:
        ids = ", ".join(str(row["execution_id"]) for row in found)
        raise Refused(f"several trades have the id {name}: name the execution, one of {ids}")
    return execution_from(found[0])


async def _story(desk: Operator, found: Execution) -> ExecutionStory:
    key: dict[str, Any] = {"execution_id": found.execution_id, "trade_id": found.trade.identity.trade_id}
    return ExecutionStory(
        execution=found,
        attempts=[attempt_from(row) for row in await _rows(desk, "attempts_of_execution", **key)],
        events=[AuditRow(**row) for row in await _rows(desk, "events_of_execution", id=str(found.execution_id))],
        confirmations=[StoredConfirmation(**row) for row in await _rows(desk, "confirmations_of_execution", **key)],
        dead_letters=[LetterOfTrade(**row) for row in await _rows(desk, "letters_of_execution", **key)],
        replays=[ReplayLine(**row) for row in await _rows(desk, "replays_of_execution", **key)],
    )


async def _rows(desk: Operator, statement: str, **values: Any) -> Sequence[Row]:
    cursor = await desk.connection.execute(sql(statement), values)
    return await cursor.fetchall()


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
