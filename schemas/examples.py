"""Messages as they really look, for the documentation, the tests and the demo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

_SENT_AT = datetime(2026, 3, 2, 9, 30, 0, 412_000, tzinfo=UTC)


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
