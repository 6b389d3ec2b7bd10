"""The database by itself refuses what the domain forbids, and nothing else: every pair, every combination is tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import count, product
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from tests.integration.ledger.stories import NOON, VENUE, a_deal, a_message, a_trade
from tests.unit.domain.rules import EXECUTED, broken_rules
from worker.domain.execution import SETTLED, TRANSITIONS, Execution, State
from worker.domain.token import base_token
from worker.ledger.connection import Connection
from worker.ledger.encoding import rows_as_json
from worker.ledger.records import execution_row, step_row
from worker.ledger.statements import sql

pytestmark = pytest.mark.services

STAYED = "stayed"
MOVED = "moved"
SKIPPED, ILLEGAL = "MW001", "MW002"  # raised by the schema's trigger

_numbers = count(1)


@pytest.fixture
async def worker(database: Connection) -> Connection:
    """Become a worker, and no more than that, on an account of its own."""
    await database.execute("set role mt5_worker")
    await database.execute(sql("open_account"), {"account": "main"})
    return database


async def test_exactly_the_legal_transitions_pass(worker: Connection) -> None:
    told = {(start, to): await _tried(worker, start, to) for start, to in product(State, State)}

    # A step that stays in its state is none of the table's business: a deal more, a ticket learnt.
    expected = {(start, to): MOVED if to in TRANSITIONS[start] | {start} else STAYED for start, to in told}
    assert told == expected


async def test_a_row_passes_exactly_when_the_domain_s_rules_hold(worker: Connection) -> None:
    for execution in _all_kinds():
        refused_by = await _refusal(worker, "insert_executions", execution_row(execution))
        rules = broken_rules(execution)
        assert refused_by in rules if rules else refused_by is None, (execution.state, rules, refused_by)


async def test_no_revision_is_skipped_or_taken_twice(worker: Connection) -> None:
    execution = await _stored(worker, _standing(State.ACCEPTED))

    for revision in (execution.revision - 1, execution.revision, execution.revision + 2):
        stale = replace(execution, revision=revision)
        assert await _refusal(worker, "update_executions", step_row(stale)) == SKIPPED


async def test_no_version_is_skipped_or_taken_back(worker: Connection) -> None:
    execution = await _stored(worker, _standing(State.FILLED))

    for version in (execution.version - 1, execution.version + 2):
        wrong = replace(execution, revision=execution.revision + 1, version=version)
        assert await _refusal(worker, "update_executions", step_row(wrong)) == SKIPPED


def _standing(state: State) -> Execution:
    """Return an execution that may stand in this state: everything but the way it came is right."""
    number = next(_numbers)
    execution = Execution(
        execution_id=UUID(int=number),
        account="main",
        trade=a_trade(f"RPM-{number}"),
        message=a_message(),
        token=base_token(1, number),
        received_at=NOON,
        state=state,
        version=1,
        attempts=1,
        sends=1,
        venue=VENUE,
        requested_lots=Decimal(1),
        reason="broker_rejection" if state in SETTLED - EXECUTED else None,
    )
    return replace(execution, deals=(a_deal(execution, number),)) if state in EXECUTED else execution


def _all_kinds() -> list[Execution]:
    """Return one execution for every combination of what the rules speak of."""
    kinds = []
    truth = (False, True)
    counts = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 2, 0), (1, 0, 1)]
    for state, (attempts, sends, start), version, executed, reason, approved in product(
        State, counts, (0, 1), truth, truth, truth
    ):
        base = _standing(state)
        trade = replace(base.trade, decision=replace(base.trade.decision, units=Decimal(1) if approved else None))
        changes: dict[str, Any] = {"attempts": attempts, "sends": sends, "round_start": start, "version": version}
        deals = (a_deal(base, 1),) if executed else ()
        changes |= {"trade": trade, "deals": deals, "reason": "market_closed" if reason else None}
        kinds.append(replace(base, **changes))
    return kinds


async def _tried(worker: Connection, start: State, to: State) -> str:
    """Try one step as the worker's role would, and tell where the row stands afterwards."""
    before = await _stored(worker, _standing(start))
    after = replace(_standing(to), execution_id=before.execution_id, revision=before.revision + 1)
    refused_by = await _refusal(worker, "update_executions", step_row(after))
    cursor = await worker.execute(
        "select state, revision from ledger.executions where execution_id = %s", [before.execution_id]
    )
    row = await cursor.fetchone()
    assert row is not None
    if (row["state"], row["revision"]) == (to.value, after.revision):
        assert refused_by is None
        return MOVED
    assert (row["state"], row["revision"], refused_by) == (start.value, before.revision, ILLEGAL)
    return STAYED


async def _stored(worker: Connection, execution: Execution) -> Execution:
    assert await _refusal(worker, "insert_executions", execution_row(execution)) is None
    return execution


async def _refusal(worker: Connection, statement: str, row: Mapping[str, Any]) -> str | None:
    """Return what refused the row: the constraint's name, or the code of a trigger's error; None when it passed."""
    bodies = [row["body"]] if "body" in row else []
    lean = {name: value for name, value in row.items() if name != "body"}
    try:
        await worker.execute(sql(statement), {"rows": rows_as_json([lean]), "bodies": bodies})
    except errors.CheckViolation as error:
        return error.diag.constraint_name
    except psycopg.DatabaseError as error:
        if error.sqlstate not in {SKIPPED, ILLEGAL}:
            raise
        return error.sqlstate
    return None
