"""All that the ledger knows of one dead letter: what failed before and after it, and what became of its trade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from schemas.dead_letter import DeadLetterReason
from worker.domain.at_broker import NEVER_A_TRADE, Answer, AtBroker, at_broker
from worker.ledger import history
from worker.ledger.desk import LetterLine, StoredLetter, dead_letter, letter_line
from worker.ledger.encoding import Row
from worker.ledger.history import ExecutionStory, ReplayLine, StoredConfirmation
from worker.ledger.operators import Operator
from worker.ledger.statements import sql

MOST_RELATED = 200  # letters: a sender that repeats a broken message for hours would drown the rest

_OF_A_TRADE = {DeadLetterReason.NETWORK_ERROR, DeadLetterReason.OUTCOME_UNKNOWN}
_NEVER_A_TRADE = {
    DeadLetterReason.MALFORMED_JSON,
    DeadLetterReason.SCHEMA_INVALID,
    DeadLetterReason.UNSUPPORTED_INSTRUCTION,
    DeadLetterReason.UNSUPPORTED_VERSION,
    DeadLetterReason.IDENTITY_CONFLICT,
    DeadLetterReason.ACCOUNT_MISMATCH,
    DeadLetterReason.MESSAGE_TOO_LARGE,
}


@dataclass(frozen=True, slots=True)
class LetterStory:
    """
    One dead letter with all that belongs to it.

    `failures` are the letters of the same message or trade, this one among them, the oldest first, and `replays` the
    tries of all of them. `confirmations` are what the sender was told. `trade` is None when it never became one.
    """

    letter: StoredLetter
    at_broker: AtBroker
    failures: Sequence[LetterLine]
    replays: Sequence[ReplayLine]
    trade: ExecutionStory | None
    confirmations: Sequence[StoredConfirmation]


async def letter_story(desk: Operator, letter_id: UUID) -> LetterStory:
    """Return all of one dead letter. Raises NotFound."""
    letter = await dead_letter(desk, letter_id)
    failures = [letter_line(row) for row in await _rows(desk, "related_letters", id=letter_id, limit=MOST_RELATED)]
    replays = await _rows(desk, "replays_of_letters", ids=[line.id for line in failures])
    trade = await _trade(desk, letter.line)
    told = await _rows(desk, "confirmations_of_execution", execution_id=letter.line.execution_id)
    return LetterStory(
        letter=letter,
        at_broker=_at_broker(letter.line, trade),
        failures=failures,
        replays=[ReplayLine(**row) for row in replays],
        trade=trade,
        confirmations=trade.confirmations if trade else [StoredConfirmation(**row) for row in told],
    )


async def _trade(desk: Operator, line: LetterLine) -> ExecutionStory | None:
    values = {"execution_id": line.execution_id, "account": line.account, "trade_id": line.trade_id}
    rows = await _rows(desk, "trade_of_letter", **values)
    return await history.execution(desk, str(rows[0]["execution_id"])) if rows else None


def _at_broker(line: LetterLine, trade: ExecutionStory | None) -> AtBroker:
    found = None if trade is None else at_broker(trade.execution, trade.attempts[-1] if trade.attempts else None)
    if line.reason in _NEVER_A_TRADE:
        return NEVER_A_TRADE if found is None else _of_the_first_trade(found)
    if found is not None:
        return found
    if line.imported_by is not None or line.reason in _OF_A_TRADE:
        return _told_by_another_ledger(line)
    return NEVER_A_TRADE


def _of_the_first_trade(found: AtBroker) -> AtBroker:
    return replace(NEVER_A_TRADE, why=f"{NEVER_A_TRADE.why}; of the trade that has its id: {found}")


def _told_by_another_ledger(line: LetterLine) -> AtBroker:
    name = f"its execution {line.execution_id}" if line.execution_id else "its message"
    why = f"{name} is not in this ledger; ask the one that the letter was exported from"
    return AtBroker(Answer.UNKNOWN, why, None)


async def _rows(desk: Operator, statement: str, **values: Any) -> Sequence[Row]:
    cursor = await desk.connection.execute(sql(statement), values)
    return await cursor.fetchall()
