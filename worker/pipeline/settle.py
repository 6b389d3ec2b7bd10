"""Stages 6 to 9: slippage, partial fills, the log and the confirmation, in the one commit that ends an execution."""

from __future__ import annotations

from typing import Any

from worker.domain.checks import Refusal
from worker.domain.evidence import Conclusion
from worker.domain.execution import Attempt, Deal, Execution, State, Venue
from worker.domain.message import OutgoingMessage
from worker.pipeline.confirmation import draft
from worker.pipeline.dead_letter import Failure, dead_letter
from worker.ports import Change, Clock, Event, Ledger

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
        after = execution.advance(
            conclusion.state,
            version=execution.version + 1,
            reason=conclusion.reason,
            detail=conclusion.detail,
            settled_at=self._clock.now(),
            venue=execution.venue or self.venue,
            **with_deals(execution, deals),
        )
        return await self._ledger.record(
            Change(
                after=after,
                events=(*before, settled_event(after, deals)),
                attempt=attempt,
                deals=deals,
                confirmation=draft(after),
                dead_letter=self._dead_letter(after),
            )
        )

    async def corrected(self, execution: Execution, deals: tuple[Deal, ...]) -> Execution:
        """Publish the next version of a settled execution: a deal has appeared afterwards."""
        requested = execution.requested_lots or 0
        total = execution.executed_lots + sum(deal.lots for deal in deals)
        state = State.FILLED if total >= requested else State.PARTIALLY_FILLED
        return await self.concluded(execution, Conclusion(state), deals=deals)

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


def with_deals(execution: Execution, deals: tuple[Deal, ...]) -> dict[str, Any]:
    """Return the changes that new deals bring to an execution."""
    if not deals:
        return {}
    return {
        "deals": execution.deals + deals,
        "filled_at": max(deal.time for deal in execution.deals + deals),
        "position_id": execution.position_id or deals[0].position_id or None,
        "order_ticket": execution.order_ticket or deals[0].order_id,
    }


def settled_event(after: Execution, deals: tuple[Deal, ...]) -> Event:
    """Return the audit event of a final state."""
    payload = {
        "status": after.state.value,
        "reason": after.reason,
        "detail": after.detail,
        "version": after.version,
        "executed_lots": str(after.executed_lots),
        "requested_lots": None if after.requested_lots is None else str(after.requested_lots),
        "fill_price": None if after.fill_price is None else str(after.fill_price),
        "deals": [deal_payload(deal) for deal in deals],
    }
    return Event("settled", payload, after.execution_id)


def deal_payload(deal: Deal) -> dict[str, Any]:
    """Return a deal as the audit trail keeps it."""
    return {
        "deal_id": str(deal.deal_id),
        "order_id": str(deal.order_id),
        "position_id": str(deal.position_id),
        "lots": str(deal.lots),
        "price": str(deal.price),
        "commission": str(deal.commission),
        "fee": str(deal.fee),
        "time": deal.time.isoformat(),
    }
