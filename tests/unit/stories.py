"""A trade that was filled, as the ledger keeps it, for tests that tell its story."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from worker.domain.execution import Attempt, Deal, Execution, State, Venue
from worker.domain.message import IncomingMessage
from worker.domain.trade import Decision, Direction, IdentityKind, Trade, TradeIdentity
from worker.ledger.audit import AuditRow
from worker.ledger.history import ExecutionStory, Leader, LetterOfTrade, ReplayLine, StoredConfirmation

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MAGIC = 2**62 + 1


def at(milliseconds: float) -> datetime:
    """Return a moment so long after the message came."""
    return START + timedelta(milliseconds=milliseconds)


DEAL = Deal(
    deal_id=70,
    order_id=80,
    magic=MAGIC,
    position_id=90,
    lots=Decimal("0.1"),
    units=Decimal(10_000),
    price=Decimal("1.08425"),
    commission=Decimal("-0.35"),
    fee=Decimal(0),
    time=at(20),
)
FILLED = Execution(
    execution_id=UUID(int=1),
    account="main",
    trade=Trade(
        TradeIdentity(IdentityKind.ORDER_ID, "RPM-7"),
        Decision("main", "EURUSD", Direction.LONG, Decimal(10_000), None, START),
        "RPM-7",
        "sha256:0",
    ),
    message=IncomingMessage(b'{"decision": {}}', routing_key="approved.main.EURUSD"),
    token=MAGIC - 1,
    received_at=START,
    state=State.FILLED,
    version=1,
    attempts=1,
    sends=1,
    venue=Venue("simulated", "Simulated-Demo", 50_000_001, "simulated"),
    requested_lots=Decimal("0.1"),
    order_ticket=80,
    position_id=90,
    deals=(DEAL,),
)


def event(
    sequence: int, milliseconds: float, kind: str, payload: Mapping[str, object], actor: str = "worker"
) -> AuditRow:
    """Return an audit event of the trade."""
    return AuditRow("main", sequence, at(milliseconds).isoformat(), actor, kind, None, json.dumps(payload), "0")


def letter(**changes: Any) -> LetterOfTrade:
    """Return the trade's dead letter, resolved unless it is to be otherwise."""
    resolved = LetterOfTrade(
        id=UUID(int=2),
        reason="network_error",
        detail="three sends, each proved not executed",
        state="resolved",
        account="main",
        trade_id="RPM-7",
        execution_id=UUID(int=1),
        source_queue="trades.dead",
        failed_at=START,
        taken_in_at=START,
        state_by=None,
        state_reason=None,
        state_at=START,
    )
    return replace(resolved, **changes)


def story() -> ExecutionStory:
    """Tell of a trade that was filled, and once was a dead letter."""
    sent = Attempt(1, MAGIC, Decimal("0.1"), {"action": 1}, "accepted", sent_at=at(12), answered_at=at(14.5))
    return ExecutionStory(
        execution=FILLED,
        attempts=[sent],
        events=[
            event(1, 2, "received", {"trade_id": "RPM-7", "body": "x" * 5000}),
            event(2, 10.5, "submitting", {"attempt": 1, "lots": "0.1"}),
            event(3, 21, "confirmed", {"version": 1, "status": "filled"}),
        ],
        meanwhile=[],
        confirmations=[
            StoredConfirmation(
                version=1,
                status="filled",
                final=True,
                routing_key="confirmation.filled.main.EURUSD",
                correlation_id="RPM-7",
                message_id=f"{UUID(int=1)}:1",
                body=b'{"status":"filled"}',
                created_at=at(21),
                published_at=at(24),
            )
        ],
        dead_letters=[letter()],
        replays=[
            ReplayLine(
                replay_id=UUID(int=3),
                letter_id=UUID(int=2),
                by="alice@desk",
                reason="prices are back",
                allow_stale=True,
                created_at=START,
                consumed_at=START,
                consumed_as="reopened",
            )
        ],
        leader=Leader("desk:17", 0.4, {}),
    )
