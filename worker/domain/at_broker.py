"""Is there an order at the broker? Answered from what the ledger has as evidence, and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from worker.domain.execution import AT_BROKER, OPEN, Attempt, Execution, State
from worker.domain.instrument import plain


class Answer(StrEnum):
    """Whether an order or a position of a trade stands at the broker."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AtBroker:
    """
    The answer, why in a sentence, and the money at risk.

    `units_at_risk` (of the base asset) is what was executed, or may still turn out to be; zero when nothing was sent,
    None where the ledger cannot tell.
    """

    answer: Answer
    why: str
    units_at_risk: Decimal | None

    def __str__(self) -> str:
        return f"{self.answer}: {self.why}"


NEVER_A_TRADE = AtBroker(Answer.NO, "it never became a trade, nothing was sent", Decimal(0))


def at_broker(execution: Execution, latest: Attempt | None) -> AtBroker:
    """Answer for an execution and its latest attempt (None: it has none)."""
    if execution.state in {State.SUBMITTING, State.UNKNOWN, State.UNRESOLVED}:
        return AtBroker(Answer.UNKNOWN, _doubt(execution, latest), _approved_units(execution))
    if execution.state in AT_BROKER:
        return AtBroker(Answer.YES, _standing(execution), _approved_units(execution))
    if execution.deals:
        return AtBroker(Answer.YES, _executed(execution), sum((deal.units for deal in execution.deals), Decimal(0)))
    return AtBroker(Answer.NO, _nothing(execution), Decimal(0))


def _doubt(execution: Execution, latest: Attempt | None) -> str:
    sent_at = (latest.sent_at or latest.written_at) if latest else None
    when = f" at {_time(sent_at)}" if sent_at else ""
    known = f"; {_lots(execution)} are known to be filled" if execution.deals else ""
    match execution.state:
        case State.SUBMITTING:
            return f"the answer to the send{when} is not recorded yet{known}"
        case State.UNKNOWN:
            return f"the outcome of the send{when} is not proved yet, evidence is being sought{known}"
    name = execution.execution_id
    return f"the outcome of the send{when} is not proved{known}; see mt5-worker executions resolve {name}"


def _standing(execution: Execution) -> str:
    filled = f"filled {_lots(execution)} so far" if execution.deals else "nothing of it is filled yet"
    cancelling = ", its cancel is asked for" if execution.state is State.CANCELLING else ""
    return f"{_order(execution)} stands{cancelling}, {filled}"


def _executed(execution: Execution) -> str:
    attested = [deal for deal in execution.deals if deal.attested_by is not None]
    word = f", on the word of {attested[0].attested_by}: the broker has not shown it" if attested else ""
    return f"{_order(execution)}, filled {_lots(execution)}{word}"


def _nothing(execution: Execution) -> str:
    if not execution.attempts:
        return "nothing was sent yet" if execution.state in OPEN else f"nothing was ever sent{_because(execution)}"
    if execution.order_ticket is not None and execution.state not in OPEN:
        return f"{_order(execution)} has ended without a fill{_because(execution)}"
    attempts = "1 attempt" if execution.attempts == 1 else f"{execution.attempts} attempts"
    if execution.state in OPEN:
        return f"{attempts} so far, each proved not executed; another one may be sent at any moment"
    return f"{attempts}, nothing was executed{_because(execution)}"


def _because(execution: Execution) -> str:
    why = ": ".join(filter(None, (execution.reason, execution.detail)))
    return f" ({why})" if why else ""


def _order(execution: Execution) -> str:
    return "an order" if execution.order_ticket is None else f"order {execution.order_ticket}"


def _lots(execution: Execution) -> str:
    executed, requested = execution.executed_lots, execution.requested_lots
    of = "" if requested is None or requested == executed else f" of {plain(requested)}"
    return f"{plain(executed)}{of} lots"


def _approved_units(execution: Execution) -> Decimal | None:
    return execution.trade.decision.units


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
