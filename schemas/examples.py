"""Messages as they really look, for the documentation, the tests and the demo."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.execution_confirmation import (
    AuditAnchor,
    ConfirmationStatus,
    DealReport,
    ExecutionConfirmation,
    RejectionReason,
    Venue,
)

_APPROVED_AT = datetime(2026, 3, 2, 9, 30, 0, 412_000, tzinfo=UTC)
_TOOK = timedelta(milliseconds=40)
_VENUE = Venue(backend="simulated", server="Simulated-Server", login=10_001, mode="simulated")
_ANCHOR = AuditAnchor(sequence=41, hash="5d7c9a0f3b2e14c86f70a1d95be2384cf1067e2ab94d83c5107f6ea2d8b3904e")


def example_rpm_output(  # noqa: PLR0913 - keywords, one for each thing a test or a demo varies
    *,
    symbol: str = "EURUSD",
    direction: int = 1,
    units: float = 100_000,
    timestamp: datetime | None = None,
    order_id: str | None = "RPM-20260302-000042",
    intended_price: float | None = None,
) -> dict[str, Any]:
    """Return an approved trade as RPM's `to_dict()` would, ready for `json.dumps`; approved now unless told when."""
    approved_at = timestamp or datetime.now(UTC)
    return _output(
        {
            "status": "APPROVED",
            "approved_trade": _approved_trade(symbol, direction, units, approved_at, intended_price),
            "rejected_trade": None,
            "order_id": order_id,
        },
        approved_at,
    )


def example_rejected_output(*, symbol: str = "GBPUSD", timestamp: datetime | None = None) -> dict[str, Any]:
    """Return a trade that RPM did not approve."""
    rejected_at = timestamp or datetime.now(UTC)
    message = _output(
        {
            "status": "REJECTED",
            "approved_trade": None,
            "rejected_trade": {
                "symbol": symbol,
                "direction": -1,
                "confidence_score": 0.41,
                "rejection_reason": "LOW_CONFIDENCE",
                "rejection_details": "confidence 0.41 is below the threshold of 0.55",
                "current_drawdown": 0.012,
                "vol_percentile": 62.5,
                "timestamp": _written(rejected_at),
            },
            "order_id": None,
        },
        rejected_at,
    )
    message["decision"]["position_sizing_applied"] = False
    return message


def example_filled() -> ExecutionConfirmation:
    """Return the confirmation of an approved trade that was filled in one deal, 0.3 pips worse than the touch."""
    units, lots, price = Decimal(100_000), Decimal("1.00"), Decimal("1.08425")
    filled_at = _APPROVED_AT + _TOOK
    return ExecutionConfirmation(
        execution_id="0195563c-7f5c-7a31-9d0e-2f6b8c1d4e5a",
        version=1,
        final=True,
        trade_id="RPM-20260302-000042",
        rpm_order_id="RPM-20260302-000042",
        account="main",
        symbol="EURUSD",
        direction=1,
        venue=_VENUE,
        order_id="50000017",
        position_id="50000017",
        deals=(
            DealReport(
                deal_id="60000021",
                units=units,
                lots=lots,
                price=price,
                time=filled_at,
                commission=Decimal("-3.50"),
                fee=Decimal(0),
            ),
        ),
        status=ConfirmationStatus.FILLED,
        intended_units=units,
        executed_units=units,
        requested_lots=lots,
        executed_lots=lots,
        intended_price=Decimal("1.08422"),
        fill_price=price,
        slippage_pips=Decimal("0.3"),
        adverse_slippage_pips=Decimal("0.3"),
        slippage_exceeded=False,
        rejection_reason=None,
        rejection_details=None,
        attempts=1,
        received_at=_APPROVED_AT + _TOOK / 4,
        validated_at=_APPROVED_AT + _TOOK / 2,
        submitted_at=_APPROVED_AT + _TOOK * 3 / 4,
        filled_at=filled_at,
        timestamp=filled_at + _TOOK / 4,
        audit=_ANCHOR,
    )


def example_rejected() -> ExecutionConfirmation:
    """Return the confirmation of an approved trade that failed a check: the spread was too wide."""
    return example_filled().model_copy(
        update={
            "order_id": None,
            "position_id": None,
            "deals": (),
            "status": ConfirmationStatus.REJECTED,
            "executed_units": Decimal(0),
            "executed_lots": Decimal(0),
            "fill_price": None,
            "slippage_pips": None,
            "adverse_slippage_pips": None,
            "slippage_exceeded": None,
            "rejection_reason": RejectionReason.SPREAD_TOO_WIDE,
            "rejection_details": "the spread of EURUSD is 14.2 pips, more than MAX_SLIPPAGE_PIPS (10)",
            "attempts": 0,
            "validated_at": None,
            "submitted_at": None,
            "filled_at": None,
        }
    )


def example_files() -> dict[str, str]:
    """Return the example files by name, always the same."""
    messages = {
        "rpm-output.approved.json": example_rpm_output(timestamp=_APPROVED_AT),
        "rpm-output.rejected.json": example_rejected_output(timestamp=_APPROVED_AT),
        "confirmation.filled.json": json.loads(example_filled().to_bytes()),
        "confirmation.rejected.json": json.loads(example_rejected().to_bytes()),
    }
    return {name: json.dumps(message, indent=2) + "\n" for name, message in messages.items()}


def _output(decision: dict[str, Any], moment: datetime) -> dict[str, Any]:
    return {
        "decision": decision
        | {
            "kill_switch_triggered": False,
            "kill_switch_reason": None,
            "portfolio_constraints_passed": True,
            "portfolio_constraint_violations": [],
            "position_sizing_applied": True,
            "sizing_adjustments": {"regime": 0.9, "correlation": 1.0, "note": "one open position"},
            "processing_time_ms": 3.87,
        },
        "portfolio_state": _portfolio_state(moment),
        "risk_metrics": {"portfolio_volatility": 0.084, "value_at_risk_95": 1240.5, "leverage": 1.6},
        "config_hash": "b3f1c2d4e5a60718",
        "rpm_version": "2.4.1",
        "timestamp": _written(moment),
    }


def _approved_trade(
    symbol: str, direction: int, units: float, approved_at: datetime, intended_price: float | None
) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "direction": direction,
        "position_units": units,
        "confidence_score": 0.72,
        "regime": "TRENDING",
        "base_units": units,
        "confidence_adjustment": 1.0,
        "regime_adjustment": 0.9,
        "correlation_adjustment": 1.0,
        "atr": 0.00082,
        "vol_percentile": 48.0,
        "risk_per_trade": 0.01,
        "risk_override": None,
        "timestamp": _written(approved_at),
        "rpm_version": "2.4.1",
        "kelly_fraction": 0.11,
        "kelly_capped": False,
        "expectancy": 0.23,
        "expectancy_multiplier": 1.0,
        "liquidity_capped": False,
        "market_impact_pct": 0.002,
        "portfolio_vol_multiplier": 1.0,
        "intended_price": intended_price,
    }


def _portfolio_state(moment: datetime) -> dict[str, Any]:
    return {
        "open_positions": {
            "USDJPY": {
                "symbol": "USDJPY",
                "direction": -1,
                "units": 50_000,
                "entry_price": 151.342,
                "entry_time": _written(moment - timedelta(hours=5)),
                "unrealized_pnl": -42.1,
            }
        },
        "symbol_exposure": {"USDJPY": 50_000},
        "currency_exposure": {"USD": -50_000, "JPY": 50_000},
        "realized_pnl": 1310.25,
        "unrealized_pnl": -42.1,
        "daily_pnl": 118.4,
        "weekly_pnl": 640.0,
        "total_capital": 100_000,
        "equity": 101_268.15,
        "peak_equity": 101_500.0,
        "current_drawdown": 0.0023,
        "trading_halted": False,
        "halt_reason": None,
        "halt_timestamp": None,
        "last_update": _written(moment),
    }


def _written(moment: datetime) -> str:
    """RPM writes UTC without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()
