"""
What is certain of an execution, what is not, and whether an order of it stands at the broker.

Certain is what the ledger has as evidence: the broker's deals, its answers, or the proof that nothing was executed.
What an operator has attested is told as his word.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from worker.domain.execution import AT_BROKER, FINAL, Execution, State
from worker.domain.instrument import plain


@dataclass(frozen=True, slots=True)
class Standing:
    """
    Three answers about one execution, as it stands in the ledger.

    `open_order` tells whether an order may still execute at the broker: yes, no, or None where that is not known.
    """

    certain: str
    doubt: str | None
    open_order: bool | None


def standing_of(execution: Execution) -> Standing:
    """Return what is certain of an execution and what is not."""
    return Standing(_certain(execution), _doubt(execution), _open_order(execution))


def _open_order(execution: Execution) -> bool | None:
    if execution.state in FINAL or execution.state is State.RECEIVED:
        return False
    return True if execution.state in AT_BROKER else None


_NO_DEAL = {
    State.SUBMITTING: "attempt {attempts} is written ahead of its send",
    State.ACCEPTED: "the broker has accepted order {order_ticket}; no deal of it is seen yet",
    State.WORKING_PARTIAL: "the broker has accepted order {order_ticket}",
    State.CANCELLING: "order {order_ticket} was accepted, its cancel is asked for; no deal of it is seen yet",
    State.UNKNOWN: "no deal of attempt {attempts} is seen; it is not sent again before it is proved not executed",
    State.UNRESOLVED: "no deal of attempt {attempts} is seen; it is not sent again",
}
_DOUBTS = {
    State.SUBMITTING: "whether the broker has the order already: its answer is not recorded yet",
    State.ACCEPTED: "how much of the order will be executed",
    State.WORKING_PARTIAL: "how much more of the order will be executed",
    State.CANCELLING: "how much of the order is executed before the cancel takes effect",
    State.UNKNOWN: "whether attempt {attempts} was executed: {detail}",
    State.UNRESOLVED: "whether attempt {attempts} was executed: {detail}",
}


def _certain(execution: Execution) -> str:
    if execution.deals:
        return _executed(execution)
    if execution.state in _NO_DEAL:
        return _NO_DEAL[execution.state].format_map(_figures(execution))
    if execution.state is State.RECEIVED:
        return f"{_attempts(execution)} so far, each proved not executed" if execution.attempts else "nothing was sent"
    return "nothing was executed" + (f": {execution.detail}" if execution.detail else "")


def _doubt(execution: Execution) -> str | None:
    if execution.state in _DOUBTS:
        return _DOUBTS[execution.state].format_map(_figures(execution))
    if execution.requested_lots is not None and execution.executed_lots > execution.requested_lots:
        return "why the broker has executed more than was asked for: look at the account's positions at once"
    attested = [deal for deal in execution.deals if deal.attested_by is not None]
    if attested:
        tickets = ", ".join(str(deal.deal_id) for deal in attested)
        return f"deal {tickets} stands on the word of {attested[0].attested_by}: the broker has not shown it"
    return None


def _figures(execution: Execution) -> dict[str, object]:
    detail = execution.detail or "its answer proves nothing"
    return {"attempts": execution.attempts, "order_ticket": execution.order_ticket, "detail": detail}


def _executed(execution: Execution) -> str:
    price = "" if execution.fill_price is None else f" at {plain(round(execution.fill_price, 8))}"
    order = "" if execution.order_ticket is None else f", order {execution.order_ticket}"
    requested = execution.requested_lots or Decimal(0)
    return f"{plain(execution.executed_lots)} of {plain(requested)} lots are executed{price}{order}"


def _attempts(execution: Execution) -> str:
    return "1 attempt" if execution.attempts == 1 else f"{execution.attempts} attempts"
