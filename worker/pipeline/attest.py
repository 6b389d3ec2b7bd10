"""How an execution ends that no evidence could end: an operator attests what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from worker.domain.attestation import AttestedDeal, Statement
from worker.domain.errors import Refused
from worker.domain.evidence import Conclusion
from worker.domain.execution import Deal, Execution, State
from worker.pipeline.settle import concluding, executed
from worker.ports import Change, Event


def attest_executed(execution: Execution, attested: Sequence[AttestedDeal], statement: Statement) -> Change:
    """
    Return the step that ends an execution as executed by these deals, and by those that the ledger has already.

    A single deal without figures stands for all that was asked for. Raises Refused with advice.
    """
    deals = tuple(_attributed(deal, execution, statement.by) for deal in _sized(execution, attested))
    tickets = ", ".join(str(deal.ticket) for deal in attested)
    return _ended(execution, executed(execution, deals), deals, statement, {"deals": tickets})


def attest_not_executed(execution: Execution, statement: Statement) -> Change:
    """Return the step that ends an execution as never executed. Raises Refused when it has deals."""
    if execution.deals:
        tickets = ", ".join(str(deal.deal_id) for deal in execution.deals)
        raise Refused(
            f"execution {execution.execution_id} was executed, at least in part: the broker has shown deals {tickets}; "
            "end it with --executed and --deal"
        )
    detail = f"{statement.by} attests that it was not executed: {statement.reason}"
    return _ended(execution, Conclusion(State.ERROR, "network_error", detail), (), statement, {})


def _ended(
    execution: Execution, end: Conclusion, deals: tuple[Deal, ...], statement: Statement, evidence: dict[str, str]
) -> Change:
    verdict = "not_executed" if end.state is State.ERROR else "executed"
    resolved = Event("resolved", {"verdict": verdict, "reason": statement.reason, **evidence}, execution.execution_id)
    change = concluding(execution, end, statement.at, deals=deals, before=(resolved,))
    return replace(change, events=tuple(replace(event, actor=statement.by) for event in change.events))


def _sized(execution: Execution, attested: Sequence[AttestedDeal]) -> list[AttestedDeal]:
    """Return the deals that the ledger does not have yet, each with its lots."""
    known = {deal.deal_id for deal in execution.deals}
    for deal in attested:
        if deal.ticket in known and deal.has_figures:
            raise Refused(f"the broker has shown deal {deal.ticket} of this trade already: name it without figures")
    new = [deal for deal in attested if deal.ticket not in known]
    left = (execution.requested_lots or Decimal(0)) - execution.executed_lots
    if len(new) > 1 and not all(deal.has_figures for deal in new):
        raise Refused("each of several deals needs its figures: --deal TICKET:LOTS@PRICE")
    sized = [replace(deal, lots=left) if deal.lots is None else deal for deal in new]
    _refuse_more_than_was_asked_for(execution, sized, left)
    return sized


def _refuse_more_than_was_asked_for(execution: Execution, deals: Sequence[AttestedDeal], left: Decimal) -> None:
    lots = sum((deal.lots for deal in deals if deal.lots is not None), Decimal(0))
    if lots > left or (deals and left <= 0):
        raise Refused(
            f"these deals have {lots:f} lots, and only {left:f} are left of the {execution.requested_lots or 0:f} that "
            "were asked for: a trade executes no more than that, so at least one of them belongs to another one"
        )


def _attributed(deal: AttestedDeal, execution: Execution, by: str) -> Deal:
    lots = deal.lots or Decimal(0)
    return Deal(
        deal_id=deal.ticket,
        order_id=None,
        magic=None,
        position_id=None,
        lots=lots,
        units=lots * (execution.contract_size or Decimal(1)),
        price=deal.price,
        commission=None,
        fee=None,
        time=None,
        attested_by=by,
    )
