"""Everything that the ledger knows of one trade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.domain.errors import NotFound, Refused
from worker.domain.execution import FINAL, Attempt, Execution
from worker.ledger.audit import AuditRow
from worker.ledger.encoding import Row
from worker.ledger.operators import Operator
from worker.ledger.records import attempt_from, execution_from
from worker.ledger.statements import sql

MEANWHILE = 200  # events of the account: a worker that was restarted every minute for a day would drown the trade's own


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
class Leader:
    """Who leads a trade's account at this moment, by PostgreSQL's clock; None: nobody does."""

    lease_holder: str | None
    lease_age_seconds: float | None
    worker_report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExecutionStory:
    """
    Everything the ledger knows of one trade.

    `meanwhile` has the events of its account, halts and take-overs among them, while it had not ended.
    """

    execution: Execution
    attempts: Sequence[Attempt]
    events: Sequence[AuditRow]
    meanwhile: Sequence[AuditRow]
    confirmations: Sequence[StoredConfirmation]
    dead_letters: Sequence[LetterOfTrade]
    replays: Sequence[ReplayLine]
    leader: Leader


async def stories(desk: Operator, name: str) -> Sequence[ExecutionStory]:
    """
    Return all of the trades with this execution id or trade id, the first to arrive first.

    Several trades have the same id when one is named by an order id and another by a message id. Raises NotFound.
    """
    return [await _story(desk, one) for one in await _found(desk, name)]


async def execution(desk: Operator, name: str) -> ExecutionStory:
    """Return all of the trade with this execution id or trade id. Raises NotFound, Refused when several have it."""
    return await _story(desk, await find(desk, name))


async def find(desk: Operator, name: str) -> Execution:
    """Return the execution with this execution id or trade id. Raises NotFound, Refused when several have it."""
    found = await _found(desk, name)
    if len(found) > 1:
        ids = ", ".join(f"{one.execution_id} ({one.state} on account {one.account})" for one in found)
        raise Refused(f"several trades have the id {name}: name the execution, one of {ids}")
    return found[0]


async def _found(desk: Operator, name: str) -> Sequence[Execution]:
    execution_id = _uuid(name)
    rows = await _rows(desk, "executions_by_name", execution_id=execution_id, trade_id=name)
    if rows:
        return [execution_from(row) for row in rows]
    for refusal in await _rows(desk, "refusal_of_execution", execution_id=execution_id):
        where = f": mt5-worker dlq show {refusal['letter_id']}" if refusal["letter_id"] else ""
        raise NotFound(
            f"{name} is no trade: its message was refused as {refusal['reason']} ({refusal['detail']}), nothing was "
            f"sent to the broker; what is known of it is in its dead letter{where}"
        )
    raise NotFound(f"the ledger has no execution and no trade with the id {name}")


async def _story(desk: Operator, found: Execution) -> ExecutionStory:
    key: dict[str, Any] = {"execution_id": found.execution_id, "trade_id": found.trade.identity.trade_id}
    events = [AuditRow(**row) for row in await _rows(desk, "events_of_execution", id=str(found.execution_id))]
    [leader] = await _rows(desk, "account_of_execution", account=found.account)
    return ExecutionStory(
        execution=found,
        attempts=[attempt_from(row) for row in await _rows(desk, "attempts_of_execution", **key)],
        events=events,
        meanwhile=await _meanwhile(desk, found, events),
        confirmations=[StoredConfirmation(**row) for row in await _rows(desk, "confirmations_of_execution", **key)],
        dead_letters=[LetterOfTrade(**row) for row in await _rows(desk, "letters_of_execution", **key)],
        replays=[ReplayLine(**row) for row in await _rows(desk, "replays_of_execution", **key)],
        leader=Leader(**leader),
    )


async def _meanwhile(desk: Operator, found: Execution, events: Sequence[AuditRow]) -> Sequence[AuditRow]:
    own = [event.sequence for event in events if event.account == found.account]
    if not own:
        return []
    last = own[-1] if found.state in FINAL else None
    values = {"account": found.account, "first": own[0], "last": last, "limit": MEANWHILE}
    return [AuditRow(**row) for row in await _rows(desk, "events_meanwhile", **values)]


async def _rows(desk: Operator, statement: str, **values: Any) -> Sequence[Row]:
    cursor = await desk.connection.execute(sql(statement), values)
    return await cursor.fetchall()


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
