"""The confirmation of an execution or of a refused message, complete but for its audit anchor."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from schemas.execution_confirmation import (
    AuditAnchor,
    ConfirmationStatus,
    DealReport,
    ExecutionConfirmation,
    RejectionReason,
    Venue,
    routing_key,
)
from schemas.rpm_output import ReadableParts
from worker.domain import slippage
from worker.domain.execution import Deal, Execution, State
from worker.domain.message import IncomingMessage
from worker.domain.slippage import Slippage
from worker.domain.trade import Direction
from worker.ports import Anchor, ConfirmationDraft

_PRICE_PRECISION = Decimal("1e-10")
_WITHOUT_REASON = frozenset({State.FILLED, State.PARTIALLY_FILLED})


def correlation_of(message: IncomingMessage, trade_id: str | None) -> str | None:
    """Return what the sender can recognise its trade by: correlation_id, else message_id, else trade_id."""
    return message.correlation_id or message.message_id or trade_id


def draft(after: Execution) -> ConfirmationDraft:
    """Return the confirmation of a settled execution."""
    decision, slip = after.trade.decision, slippage.of(after)

    def render(anchor: Anchor | None) -> bytes:
        return _of_execution(after, slip, anchor).to_bytes()

    return ConfirmationDraft(
        execution_id=after.execution_id,
        version=after.version,
        status=after.state.value,
        final=after.state is not State.UNRESOLVED,
        account=after.account,
        symbol=decision.symbol,
        routing_key=routing_key(ConfirmationStatus(after.state), after.account, decision.symbol),
        correlation_id=correlation_of(after.message, after.trade.identity.trade_id),
        render=render,
        slippage=slip,
    )


def refusal_draft(  # noqa: PLR0913 - every one of them stands in the confirmation
    *,
    execution_id: UUID,
    account: str,
    message: IncomingMessage,
    parts: ReadableParts,
    trade_id: str | None,
    reason: str,
    detail: str,
    at: datetime,
) -> ConfirmationDraft | None:
    """Return the confirmation of a refused message; None when nothing in it tells the sender which one it was."""
    correlation = correlation_of(message, trade_id or parts.order_id)
    if correlation is None:
        return None
    known: dict[str, Any] = {
        "trade_id": trade_id,
        "rpm_order_id": parts.order_id,
        "symbol": parts.symbol,
        "direction": parts.direction,
        "intended_units": parts.units,
    }

    def render(anchor: Anchor | None) -> bytes:
        return _of_refusal(execution_id, account, known, reason, detail, at, anchor).to_bytes()

    return ConfirmationDraft(
        execution_id=execution_id,
        version=1,
        status=State.REJECTED.value,
        final=True,
        account=account,
        symbol=parts.symbol,
        routing_key=routing_key(ConfirmationStatus.REJECTED, account, parts.symbol),
        correlation_id=correlation,
        render=render,
    )


def _of_execution(execution: Execution, slip: Slippage | None, anchor: Anchor | None) -> ExecutionConfirmation:
    decision, trade = execution.trade.decision, execution.trade
    silent = execution.state in _WITHOUT_REASON
    unsettled = execution.state is State.UNRESOLVED
    return ExecutionConfirmation(
        execution_id=str(execution.execution_id),
        version=execution.version,
        final=execution.state is not State.UNRESOLVED,
        trade_id=trade.identity.trade_id,
        rpm_order_id=trade.rpm_order_id,
        account=execution.account,
        symbol=decision.symbol,
        direction=1 if decision.direction is Direction.LONG else -1,
        venue=_venue(execution),
        order_id=_ticket(execution.order_ticket),
        position_id=_ticket(execution.position_id),
        deals=tuple(_deal(deal) for deal in execution.deals),
        status=ConfirmationStatus(execution.state),
        intended_units=decision.units,
        executed_units=None if unsettled else sum((deal.units for deal in execution.deals), Decimal(0)),
        requested_lots=execution.requested_lots,
        executed_lots=None if unsettled else execution.executed_lots,
        intended_price=execution.intended_price,
        fill_price=_rounded(execution.fill_price),
        slippage_pips=slip.pips if slip else None,
        adverse_slippage_pips=slip.adverse_pips if slip else None,
        slippage_exceeded=slip.exceeded if slip else None if execution.deals else False,
        rejection_reason=None if silent or execution.reason is None else RejectionReason(execution.reason),
        rejection_details=None if silent else execution.detail,
        attempts=execution.sends,
        received_at=execution.received_at,
        validated_at=execution.validated_at,
        submitted_at=execution.submitted_at,
        filled_at=execution.filled_at,
        timestamp=execution.settled_at or execution.received_at,
        audit=_audit(anchor),
    )


def _venue(execution: Execution) -> Venue | None:
    venue = execution.venue
    if venue is None:
        return None
    mode = next(known for known in ("simulated", "demo", "live") if known == venue.mode)
    return Venue(backend=venue.backend, server=venue.server, login=venue.login, mode=mode)


def _deal(deal: Deal) -> DealReport:
    return DealReport(
        deal_id=str(deal.deal_id),
        units=deal.units,
        lots=deal.lots,
        price=deal.price,
        time=deal.time,
        commission=deal.commission,
        fee=deal.fee,
    )


def _rounded(price: Decimal | None) -> Decimal | None:
    """Cut the endless digits of a volume-weighted average; far finer than any tick."""
    return None if price is None else price.quantize(_PRICE_PRECISION).normalize()


def _audit(anchor: Anchor | None) -> AuditAnchor | None:
    return None if anchor is None else AuditAnchor(sequence=anchor.sequence, hash=anchor.hash)


def _ticket(ticket: int | None) -> str | None:
    return None if ticket is None else str(ticket)


def _of_refusal(  # noqa: PLR0913, PLR0917 - see refusal_draft
    execution_id: UUID,
    account: str,
    known: dict[str, Any],
    reason: str,
    detail: str,
    at: datetime,
    anchor: Anchor | None,
) -> ExecutionConfirmation:
    return ExecutionConfirmation(
        execution_id=str(execution_id),
        version=1,
        final=True,
        account=account,
        venue=None,
        order_id=None,
        position_id=None,
        deals=(),
        status=ConfirmationStatus.REJECTED,
        executed_units=Decimal(0),
        requested_lots=None,
        executed_lots=Decimal(0),
        intended_price=None,
        fill_price=None,
        slippage_pips=None,
        adverse_slippage_pips=None,
        slippage_exceeded=False,
        rejection_reason=RejectionReason(reason),
        rejection_details=detail,
        attempts=0,
        received_at=at,
        validated_at=None,
        submitted_at=None,
        filled_at=None,
        timestamp=at,
        audit=_audit(anchor),
        **known,
    )
