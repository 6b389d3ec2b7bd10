"""Values for domain tests: an approved trade of one lot EURUSD, and what may stand around it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from worker.domain.checks import Limits, Situation
from worker.domain.execution import Execution
from worker.domain.instrument import Instrument
from worker.domain.market import Health, Quote, Tick
from worker.domain.message import IncomingMessage
from worker.domain.trade import Decision, Direction, IdentityKind, Trade, TradeIdentity

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def an_instrument(**changes: Any) -> Instrument:
    base = Instrument(
        symbol="EURUSD",
        base="EUR",
        profit="USD",
        digits=5,
        point=Decimal("0.00001"),
        tick_size=Decimal("0.00001"),
        contract_size=Decimal(100_000),
        volume_min=Decimal("0.01"),
        volume_max=Decimal(500),
        volume_step=Decimal("0.01"),
        volume_limit=Decimal(0),
        trade_mode=4,
        execution_mode=2,
        filling_flags=3,
        calc_mode=0,
    )
    return replace(base, **changes)


def a_tick(bid: str = "1.10000", ask: str = "1.10012", age: float = 0.1) -> Tick:
    return Tick(Decimal(bid), Decimal(ask), NOW - timedelta(seconds=age))


def a_quote(**changes: Any) -> Quote:
    health = Health(
        connected=True,
        trade_allowed=True,
        login=1,
        server="Demo",
        venue_mode="demo",
        account_mode="hedging",
        margin_free=Decimal(10_000),
    )
    base = Quote(health, an_instrument(), a_tick(), Decimal(1_000), NOW)
    return replace(base, **changes)


def a_trade(direction: Direction = Direction.LONG, **changes: Any) -> Trade:
    decision = Decision("main", "EURUSD", direction, Decimal(100_000), None, NOW - timedelta(seconds=1))
    base = Trade(TradeIdentity(IdentityKind.ORDER_ID, "A-1"), decision, "A-1", "sha256:00")
    return replace(base, **changes)


def an_execution(trade: Trade | None = None, **changes: Any) -> Execution:
    base = Execution(
        execution_id=UUID(int=1),
        account="main",
        trade=trade or a_trade(),
        message=IncomingMessage(b"{}"),
        token=1 << 42,
        received_at=NOW,
        broker_symbol="EURUSD",
    )
    return replace(base, **changes)


def a_situation(**changes: Any) -> Situation:
    base = Situation(an_execution(), Limits(Decimal(10)), NOW, quote=a_quote())
    return replace(base, **changes)
