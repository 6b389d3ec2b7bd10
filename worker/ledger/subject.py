"""Which trade a job is about, for log lines: the committer works for many trades at a time, and in the name of none."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from worker.ledger.admit import Admit
from worker.ledger.job import Job
from worker.ledger.letters import TakeIn
from worker.ledger.record import Record
from worker.ledger.refuse import Refuse


def about(job: Job[object]) -> Mapping[str, str]:
    """Return the ids of its execution and its trade, as far as it has any."""
    match job:
        case Record(change=change):
            return _ids(change.after.execution_id, change.after.trade.identity.trade_id)
        case Admit(arrival=arrival):
            return _ids(arrival.execution_id, arrival.trade.identity.trade_id)
        case Refuse(refused=refused):
            return _ids(refused.execution_id, refused.trade_id)
        case TakeIn(letter=letter):
            return _ids(letter.execution_id, letter.trade_id)
    return {}


def _ids(execution_id: UUID | None, trade_id: str | None) -> Mapping[str, str]:
    known = {"execution_id": execution_id, "trade_id": trade_id}
    return {name: str(value) for name, value in known.items() if value is not None}
