"""Ending what is unresolved by an operator's word, whether a worker runs or not."""

from __future__ import annotations

from collections.abc import Callable

from worker.domain.errors import Refused
from worker.domain.execution import FINAL, Execution, State
from worker.ledger.history import find
from worker.ledger.operators import Operator, locked
from worker.ledger.record import Record
from worker.ledger.statements import sql
from worker.ledger.view import Question, read_view
from worker.ports import Change


async def resolve(desk: Operator, name: str, end: Callable[[Execution], Change], *, reason: str, by: str) -> Execution:
    """
    End the unresolved execution with this execution id or trade id as `end` says; return it as it is then.

    The account's row is locked from the look to the commit, so a worker that has found evidence meanwhile was either
    quicker, and this is refused, or finds that the execution has moved on. Raises NotFound, Refused.
    """
    async with locked(desk, (await find(desk, name)).account) as (account, page):
        execution = await find(desk, name)
        _refuse_unless_unresolved(execution)
        change = end(execution)
        await _refuse_deals_of_others(desk, change)
        job, question = Record(change), Question()
        job.ask(question)
        view = await read_view(desk.connection, account.account, question)
        if view is None:
            raise AssertionError("the account's row is locked")
        job.decide(view, page)
        if change.after.state is not State.ERROR:  # what was not executed may be replayed: its letters stay open
            await _close_letters(desk, change.after, reason, by)
    return change.after


def _refuse_unless_unresolved(execution: Execution) -> None:
    if execution.state is State.UNRESOLVED:
        return
    meaning = "it has ended" if execution.state in FINAL else "the worker is at it, or seeks the evidence itself"
    raise Refused(
        f"execution {execution.execution_id} is {execution.state}: {meaning}; only what is unresolved can be resolved"
    )


async def _refuse_deals_of_others(desk: Operator, change: Change) -> None:
    values = {"account": change.after.account, "ids": [deal.deal_id for deal in change.deals]}
    cursor = await desk.connection.execute(sql("owners_of_deals"), values)
    for row in await cursor.fetchall():
        raise Refused(
            f"deal {row['deal_id']} belongs to execution {row['execution_id']} (trade {row['trade_id']}): "
            "a deal executes one trade only"
        )


async def _close_letters(desk: Operator, execution: Execution, reason: str, by: str) -> None:
    values = {"execution_id": execution.execution_id, "by": by, "reason": reason, "at": desk.clock.now()}
    await desk.connection.execute(sql("resolve_letters_of_execution"), values)
