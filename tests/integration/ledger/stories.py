"""Trades, steps and confirmations as the stories about the ledger need them."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from worker.domain.execution import Attempt, Deal, Execution, State, Venue
from worker.domain.message import IncomingMessage, MessageKind, OutgoingMessage
from worker.domain.token import attempt_token
from worker.domain.trade import Decision, Direction, IdentityKind, Trade, TradeIdentity
from worker.ledger.replays import ReplayOrder
from worker.pipeline.prospects import Terms
from worker.ports import Anchor, Arrival, Change, ConfirmationDraft, DeadLetter, Event, RefusedMessage

NOON = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)
VENUE = Venue("simulated", "Simulated-1", 1001, "simulated")
AN_ORDER = ReplayOrder(by="ann", reason="the cause is fixed", terms=Terms(max_trade_age=timedelta(0)))


@dataclass(frozen=True, slots=True)
class RealClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def a_trade(order_id: str | None = "RPM-1", *, account: str = "main", units: str = "100000", body: str = "") -> Trade:
    digest = body or f"digest of {order_id} {units}"
    identity = TradeIdentity(IdentityKind.ORDER_ID if order_id else IdentityKind.BODY, order_id or f"sha256:{digest}")
    decision = Decision(account, "EURUSD", Direction.LONG, Decimal(units), Decimal("1.10000"), NOON)
    return Trade(identity, decision, order_id, digest)


def a_message(**properties: Any) -> IncomingMessage:
    defaults: dict[str, Any] = {
        "body": b'{"decision": {}}',
        "exchange": "trades",
        "routing_key": "approved.main.EURUSD",
    }
    return IncomingMessage(**(defaults | properties))


def an_arrival(trade: Trade | None = None, message: IncomingMessage | None = None) -> Arrival:
    trade = trade or a_trade()
    return Arrival(uuid4(), trade.decision.account, message or a_message(), trade, NOON + timedelta(seconds=1))


def written_ahead(execution: Execution) -> Change:
    number = execution.attempts + 1
    after = execution.advance(
        State.SUBMITTING,
        attempts=number,
        sends=execution.sends + 1,
        venue=VENUE,
        requested_lots=Decimal("1.00"),
        contract_size=Decimal(100_000),
    )
    magic = attempt_token(execution.token, number)
    attempt = Attempt(number, magic, Decimal("1.00"), written_at=NOON, sender="host:terminal")
    event = Event("submitting", {"attempt": number}, execution.execution_id)
    return Change(after, (event,), attempt=attempt, writes_ahead_a_send=True)


def accepted(execution: Execution) -> Change:
    after = execution.advance(State.ACCEPTED, order_ticket=7001, accepted_at=NOON)
    return Change(after, (Event("answered", {"retcode": 10009}, execution.execution_id),))


def unknown(execution: Execution) -> Change:
    return Change(execution.advance(State.UNKNOWN, detail="no answer"))


def unresolved(execution: Execution) -> Change:
    after = execution.advance(State.UNRESOLVED, version=execution.version + 1, reason="outcome_unknown")
    return Change(after, (), confirmation=a_draft(after), dead_letter=a_dead_message(execution.message))


def a_deal(execution: Execution, deal_id: int, lots: str = "1.00") -> Deal:
    return Deal(
        deal_id=deal_id,
        order_id=7001,
        magic=execution.token | 1,
        position_id=7001,
        lots=Decimal(lots),
        units=Decimal(lots) * 100_000,
        price=Decimal("1.10010"),
        commission=Decimal("-3.50"),
        fee=Decimal(0),
        time=NOON,
    )


def filled(execution: Execution, deal_id: int) -> Change:
    deal = a_deal(execution, deal_id)
    after = execution.advance(
        State.FILLED, deals=(deal,), version=execution.version + 1, requested_lots=Decimal("1.00"), settled_at=NOON
    )
    return Change(after, (), deals=(deal,), confirmation=a_draft(after))


def failed(execution: Execution) -> Change:
    """Return the end of an execution whose sends are exhausted; it becomes a dead letter."""
    after = execution.advance(State.ERROR, version=execution.version + 1, reason="network_error", detail="no pipe")
    return Change(after, (), confirmation=a_draft(after), dead_letter=a_dead_message(execution.message))


def rejected(execution: Execution) -> Change:
    after = execution.advance(State.REJECTED, version=execution.version + 1, reason="market_closed", detail="Sunday")
    return Change(after, (), confirmation=a_draft(after))


def a_draft(execution: Execution) -> ConfirmationDraft:
    def render(anchor: Anchor | None) -> bytes:
        told = {"account": execution.account, "status": execution.state, "audit": anchor and asdict(anchor)}
        return json.dumps(told).encode()

    return ConfirmationDraft(
        execution_id=execution.execution_id,
        version=execution.version,
        status=execution.state,
        final=True,
        account=execution.account,
        symbol="EURUSD",
        routing_key=f"confirmation.{execution.state}.{execution.account}.EURUSD",
        correlation_id=execution.message.correlation_id or execution.trade.identity.trade_id,
        render=render,
    )


def a_dead_message(message: IncomingMessage) -> OutgoingMessage:
    return OutgoingMessage(
        kind=MessageKind.DEAD_LETTER,
        exchange="trades.dlx",
        routing_key=message.routing_key,
        body=message.body,
        message_id=str(uuid4()),
        headers={"failure-reason": "network_error"},
    )


def a_refusal(message: IncomingMessage | None = None, reason: str = "malformed_json") -> RefusedMessage:
    message = message or a_message(body=b"{")
    execution_id = uuid4()
    draft = ConfirmationDraft(
        execution_id=execution_id,
        version=1,
        status="rejected",
        final=True,
        account="main",
        symbol=None,
        routing_key="confirmation.rejected.main._",
        correlation_id=message.correlation_id,
        render=lambda _anchor: b'{"status": "rejected"}',
    )
    return RefusedMessage(execution_id, "main", message, reason, "line 1", a_dead_message(message), draft)


def a_letter(message: IncomingMessage | None = None) -> DeadLetter:
    return DeadLetter(
        letter_id=uuid4(),
        source_queue="trades.dead",
        account="main",
        reason="malformed_json",
        detail="line 1",
        message=message or a_message(),
        headers={"failure-reason": "malformed_json"},
        failed_at=NOON,
    )


def redelivered(message: IncomingMessage) -> IncomingMessage:
    return replace(message, redelivered=True, headers={**message.headers, "x-delivery-count": 1})
