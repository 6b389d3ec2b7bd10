"""What a person is to do about a trade: the commands as they are typed."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from worker.domain.execution import OPEN, Execution, State
from worker.domain.token import comment_of
from worker.ledger.history import ExecutionStory, Leader
from worker.ledger.letter_story import LetterStory
from worker.settings import LEASE_SECONDS

_NOT_ENDED = OPEN | {State.UNRESOLVED}
_OPEN_LETTER = frozenset({"new", "failed_again"})


def to_do(story: ExecutionStory) -> Sequence[str]:
    """Return what is left to a person, a line each; none when there is nothing."""
    execution = story.execution
    if execution.state is State.UNRESOLVED:
        return [_look(execution), *resolving(execution.execution_id)]
    if execution.state in OPEN and is_silent(story.leader):
        return [f"start a worker for account {execution.account}: nobody drives this trade (mt5-worker status)"]
    if execution.state is State.ERROR:
        return [replaying(letter.id) for letter in story.dead_letters if letter.state in _OPEN_LETTER]
    return []


def to_do_about(story: LetterStory) -> Sequence[str]:
    """Return what is left to a person about a dead letter, a line each; none when there is nothing."""
    if story.trade is not None and story.trade.execution.state in _NOT_ENDED and (first := to_do(story.trade)):
        return first
    line = story.letter.line
    if line.state not in _OPEN_LETTER:
        return []
    return [
        f"mt5-worker dlq replay {line.id} --dry-run (what trying again would come to)",
        f"or mt5-worker dlq discard {line.id} --reason WHY",
    ]


def is_silent(leader: Leader) -> bool:
    """Tell whether nobody leads the account, or its worker has not renewed its lease in time."""
    return leader.lease_age_seconds is None or leader.lease_age_seconds > LEASE_SECONDS


def resolving(execution_id: UUID) -> Sequence[str]:
    """Return how an unresolved trade is ended, the one way or the other."""
    command = f"mt5-worker executions resolve {execution_id}"
    return [f"{command} --executed --deal TICKET --reason WHY", f"or {command} --not-executed --reason WHY"]


def replaying(letter_id: UUID) -> str:
    """Return how a dead letter is tried again."""
    return f"mt5-worker dlq replay {letter_id} --reason WHY"


def _look(execution: Execution) -> str:
    token = execution.latest_token
    symbol = execution.broker_symbol or execution.trade.decision.symbol
    return f"look in the terminal for an order or deal of {symbol} with magic {token} or comment {comment_of(token)}"
