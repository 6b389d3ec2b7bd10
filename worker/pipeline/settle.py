"""Stages 6 to 9: slippage, partial fills, the log and the confirmation, in the one commit that ends an execution."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog

from worker.domain.checks import Refusal
from worker.domain.evidence import Conclusion, Evidence, conclude
from worker.domain.execution import Attempt, Deal, Execution, State, Venue
from worker.domain.message import OutgoingMessage
from worker.pipeline.confirmation import draft
from worker.pipeline.dead_letter import Failure, dead_letter
from worker.ports import Change, Clock, Event, Ledger

_OVERFILLED = "the broker shows more executed than was requested: look at the account's positions at once"
_FIGURES = tuple(field.name for field in fields(Deal))
_log = structlog.get_logger()

DEAD_LETTERED = frozenset({State.ERROR, State.UNRESOLVED})


class Settler:
    """Writes final states: state, deals, audit events, confirmation and dead letter together or not at all."""

    def __init__(self, ledger: Ledger, clock: Clock, worker_id: str) -> None:
        self._ledger, self._clock, self._worker_id = ledger, clock, worker_id
        self.venue: Venue | None = None  # of the account, once the terminal has told; for trades refused before a quote

    async def refused(self, execution: Execution, refusal: Refusal) -> Execution:
        """End a trade that a check refused; nothing was sent."""
        return await self.concluded(execution, Conclusion(State(refusal.status), refusal.reason, refusal.detail))

    async def concluded(
        self,
        execution: Execution,
        conclusion: Conclusion,
        *,
        deals: tuple[Deal, ...] = (),
        attempt: Attempt | None = None,
        before: tuple[Event, ...] = (),
    ) -> Execution:
        """End an execution as concluded, with what is not yet recorded of its way; returns it as stored."""
        placed = execution if execution.venue else execution.knowing(venue=self.venue)
        change = concluding(placed, conclusion, self._clock.now(), deals=deals, before=before)
        letter = self._dead_letter(change.after)
        if executes_too_much(change.after):
            _log.error("overfilled", alert=True, meaning=_OVERFILLED)
        return await self._ledger.record(replace(change, attempt=attempt, dead_letter=letter))

    async def corrected(
        self, execution: Execution, deals: tuple[Deal, ...], attempt: Attempt | None = None
    ) -> Execution:
        """Publish the next version of a settled execution: a deal has appeared, perhaps of an attempt nobody knew."""
        payload = {"alert": "late_deal", "was": execution.state.value, "deals": [deal_payload(deal) for deal in deals]}
        alert = Event("alert", payload, execution.execution_id)
        return await self.concluded(
            execution, executed(execution, deals), deals=deals, attempt=attempt, before=(alert,)
        )

    def _dead_letter(self, after: Execution) -> OutgoingMessage | None:
        if after.state not in DEAD_LETTERED:
            return None
        failure = Failure(
            reason=after.reason or "internal_error",
            detail=after.detail or "",
            failed_at=self._clock.now(),
            attempt=after.version,
            worker_id=self._worker_id,
        )
        return dead_letter(
            after.message,
            after.account,
            failure,
            trade_id=after.trade.identity.trade_id,
            execution_id=after.execution_id,
        )


def end_shown(execution: Execution, evidence: Evidence) -> Conclusion | None:
    """Tell how an execution ends by all that was seen of it; None while it is not over."""
    with_all = execution.knowing(**with_deals(execution, evidence.new_deals(execution)))
    return conclude(with_all, evidence.order_of(execution))


def concluding(
    execution: Execution,
    conclusion: Conclusion,
    at: datetime,
    *,
    deals: tuple[Deal, ...] = (),
    before: tuple[Event, ...] = (),
) -> Change:
    """Return the step that ends an execution as concluded: the worker's, or an operator's by evidence of his own."""
    after = execution.advance(
        conclusion.state,
        version=execution.version + 1,
        reason=conclusion.reason,
        detail=conclusion.detail,
        settled_at=at,
        **with_deals(execution, deals),
    )
    alarm = Event("alert", {"alert": "overfilled", "detail": _OVERFILLED}, after.execution_id)
    alarms = (alarm,) if executes_too_much(after) else ()
    events = (*before, *alarms, settled_event(after, deals))
    return Change(after, events, deals=deals, confirmation=draft(after))


def executes_too_much(execution: Execution) -> bool:
    """Tell whether the broker has executed more than was asked for: no rule of ours can lead there."""
    return execution.requested_lots is not None and execution.executed_lots > execution.requested_lots


def executed(execution: Execution, deals: tuple[Deal, ...]) -> Conclusion:
    """Return the end of an execution that has these deals too, and will have no more."""
    total = sum((deal.lots for deal in execution.deals_with(deals)), Decimal(0))
    requested = execution.requested_lots or Decimal(0)
    return Conclusion(State.FILLED if total >= requested else State.PARTIALLY_FILLED)


def with_deals(execution: Execution, deals: tuple[Deal, ...]) -> dict[str, Any]:
    """Return the changes that new deals bring to an execution."""
    if not deals:
        return {}
    together = execution.deals_with(deals)
    return {
        "deals": together,
        "filled_at": max((deal.time for deal in together if deal.time is not None), default=None),
        "position_id": execution.position_id or deals[0].position_id or None,
        "order_ticket": execution.order_ticket or deals[0].order_id,
    }


def settled_event(after: Execution, deals: tuple[Deal, ...]) -> Event:
    """Return the audit event of a final state."""
    fill_price = after.fill_price
    payload = {
        "status": after.state.value,
        "reason": after.reason,
        "detail": after.detail,
        "version": after.version,
        "executed_lots": str(after.executed_lots),
        "requested_lots": None if after.requested_lots is None else str(after.requested_lots),
        "fill_price": None if fill_price is None else str(fill_price),
        "deals": [deal_payload(deal) for deal in deals],
    }
    return Event("settled", payload, after.execution_id)


def deal_payload(deal: Deal) -> dict[str, Any]:
    """Return a deal as the audit trail keeps it: all text, null for what nobody knows."""
    return {name: _as_text(getattr(deal, name)) for name in _FIGURES}


def _as_text(figure: object) -> str | None:
    if isinstance(figure, datetime):
        return figure.isoformat()
    return None if figure is None else str(figure)
