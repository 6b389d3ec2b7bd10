"""
What RPM publishes, as its own `to_dict()` writes it.

Refused is what is surely wrong; what may be null may also be missing. Unknown fields are kept. The contents of
`risk_metrics` and of `rejection_details` are kept unread: nothing depends on them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.fields import (
    Direction,
    NonNegativeNumber,
    Number,
    NumberOrFlag,
    NumberOrNumbers,
    Numbers,
    NumbersAndTexts,
    OrderId,
    PositiveNumber,
    Symbol,
    Texts,
    UtcTimestamp,
)
from schemas.instructions import INSTRUCTION_SCHEMAS

KNOWN_VERSIONS = ("1.0", "1")

MAX_OPEN_POSITIONS = 5000
"""More would not fit a message of `MAX_BODY_BYTES`; the limit bounds the work on a broken one."""


def _not_too_many(value: object) -> object:
    if isinstance(value, dict) and len(value) > MAX_OPEN_POSITIONS:
        raise PydanticCustomError("wrong_item", f"has more than {MAX_OPEN_POSITIONS} positions")
    return value


def _refusing_instructions(schema: dict[str, Any]) -> None:
    schema["properties"].update(INSTRUCTION_SCHEMAS)


def _message_rules(schema: dict[str, Any]) -> None:
    _refusing_instructions(schema)
    schema["properties"]["schema_version"] = {
        "enum": [*KNOWN_VERSIONS, None],
        "description": "RPM writes none; any other is refused.",
    }


def _decision_rules(schema: dict[str, Any]) -> None:
    _refusing_instructions(schema)
    schema["if"] = {"properties": {"status": {"const": "REJECTED"}}}
    schema["then"] = {"required": ["rejected_trade"], "properties": {"rejected_trade": {"type": "object"}}}
    schema["else"] = {
        "required": ["approved_trade"],
        "properties": {"approved_trade": {"type": "object"}, "rejected_trade": {"type": "null"}},
    }


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True, use_attribute_docstrings=True)


class ApprovedTrade(_Part):
    """The trade to open, as approved. It is never re-sized."""

    model_config = ConfigDict(json_schema_extra=_refusing_instructions)

    symbol: Symbol
    """RPM's name of the instrument: at most 29 UTF-16 units, printable, no spaces."""
    direction: Direction
    """1 is long (buy), -1 is short (sell)."""
    position_units: PositiveNumber
    """Size in units of the base asset, not in lots."""
    confidence_score: NonNegativeNumber
    """Confidence of the signal, usually 0 to 1."""
    regime: str
    """Name of the market regime."""
    base_units: Number
    """Size before the adjustments, in units of the base asset."""
    confidence_adjustment: Number
    """Factor on the size, from the confidence."""
    regime_adjustment: Number
    """Factor on the size, from the regime."""
    correlation_adjustment: Number
    """Factor on the size, from the correlation with open positions."""
    atr: NonNegativeNumber
    """Average true range, in the quote currency."""
    vol_percentile: NonNegativeNumber
    """Percentile of the volatility."""
    risk_per_trade: NonNegativeNumber
    """Share of the capital at risk."""
    risk_override: NumberOrFlag | None
    """Share of the capital that replaced `risk_per_trade`, or whether one did; null when none."""
    timestamp: UtcTimestamp
    """When the trade was approved; its age counts from here."""
    rpm_version: str
    """Version of RPM that approved."""
    kelly_fraction: Number | None = None
    """Kelly fraction of the capital."""
    kelly_capped: bool | None = None
    """Whether the Kelly fraction was cut."""
    expectancy: Number | None = None
    """Expected result per unit of risk."""
    expectancy_multiplier: Number | None = None
    """Factor on the size, from the expectancy."""
    liquidity_capped: bool | None = None
    """Whether the size was cut for lack of liquidity."""
    market_impact_pct: Number | None = None
    """Estimated impact on the market, in percent."""
    portfolio_vol_multiplier: Number | None = None
    """Factor on the size, from the portfolio's volatility."""
    intended_price: PositiveNumber | None = None
    """Price in the quote currency that slippage is measured from; null: the touch at first validation."""


class RejectedTrade(_Part):
    """A trade that RPM did not approve."""

    symbol: Symbol
    """RPM's name of the instrument."""
    direction: Direction
    """1 is long, -1 is short."""
    confidence_score: NonNegativeNumber
    """Confidence of the signal, usually 0 to 1."""
    rejection_reason: str
    """Why, as a word."""
    rejection_details: Any
    """Why, in full; any JSON value."""
    current_drawdown: Number | None = None
    """Share of the peak equity that is lost."""
    symbol_exposure: NumberOrNumbers | None = None
    """Exposure in the symbol, in units of account currency, or by symbol."""
    currency_exposure: NumberOrNumbers | None = None
    """Exposure in the currency, in units of account currency, or by currency."""
    vol_percentile: Number | None = None
    """Percentile of the volatility."""
    timestamp: UtcTimestamp | None = None
    """When it was rejected."""


class Decision(_Part):
    """RPM's decision: `approved_trade` with APPROVED and ADJUSTED, `rejected_trade` with REJECTED."""

    model_config = ConfigDict(json_schema_extra=_decision_rules)

    status: Literal["APPROVED", "ADJUSTED", "REJECTED"]
    """ADJUSTED is approved with another size than was asked for."""
    approved_trade: ApprovedTrade | None = None
    """The trade to open; null when rejected."""
    rejected_trade: RejectedTrade | None = None
    """The trade not to open; null when approved."""
    order_id: OrderId | None = None
    """RPM's identity of the trade, at most 200 bytes of UTF-8, never used twice; null when it has none."""
    kill_switch_triggered: bool
    """True stops the trade."""
    kill_switch_reason: str | None = None
    """Why the kill switch was triggered."""
    portfolio_constraints_passed: bool
    """Whether all portfolio constraints held."""
    portfolio_constraint_violations: Texts
    """The constraints that did not hold."""
    position_sizing_applied: bool
    """Whether the size was computed by RPM."""
    sizing_adjustments: NumbersAndTexts
    """What changed the size, by name."""
    processing_time_ms: NonNegativeNumber
    """Time RPM took, in milliseconds."""

    @model_validator(mode="after")
    def _has_its_trade(self) -> Self:
        if self.status == "REJECTED":
            if self.rejected_trade is None:
                raise PydanticCustomError("missing_part", "is REJECTED and needs a rejected_trade")
        elif self.approved_trade is None:
            raise PydanticCustomError("missing_part", f"is {self.status} and needs an approved_trade")
        elif self.rejected_trade is not None:
            raise PydanticCustomError("contradiction", f"is {self.status} but has a rejected_trade")
        return self


class OpenPosition(_Part):
    """A position that RPM holds to be open."""

    symbol: str
    """Name of the instrument."""
    direction: Direction
    """1 is long, -1 is short."""
    units: Number
    """Size in units of the base asset."""
    entry_price: Number
    """Average price, in the quote currency."""
    entry_time: UtcTimestamp | None
    """When it was opened."""
    unrealized_pnl: Number
    """Profit or loss, in the account's currency."""


class PortfolioState(_Part):
    """RPM's view of the portfolio; amounts in the account's currency."""

    open_positions: Annotated[
        dict[str, OpenPosition],
        BeforeValidator(_not_too_many),
        Field(json_schema_extra={"maxProperties": MAX_OPEN_POSITIONS}),
    ]
    """By symbol."""
    symbol_exposure: Numbers
    """By symbol."""
    currency_exposure: Numbers
    """By currency."""
    realized_pnl: Number
    """Realised profit or loss."""
    unrealized_pnl: Number
    """Profit or loss of the open positions."""
    daily_pnl: Number
    """Profit or loss of the day."""
    weekly_pnl: Number
    """Profit or loss of the week."""
    total_capital: Number
    """Capital that RPM sizes to."""
    equity: Number
    """Capital with the open positions' profit or loss."""
    peak_equity: Number
    """Highest equity so far."""
    current_drawdown: Number
    """Share of the peak equity that is lost."""
    trading_halted: bool
    """True stops the trade."""
    halt_reason: str | None = None
    """Why trading is halted."""
    halt_timestamp: UtcTimestamp | None = None
    """Since when trading is halted."""
    last_update: UtcTimestamp | None
    """When this state was taken."""


class RiskMetrics(_Part):
    """RPM's risk figures. Every field is kept, none is read, any may be missing."""


class RPMOutput(_Part):
    """One decision of the Risk and Portfolio Manager with the state it was taken in."""

    model_config = ConfigDict(json_schema_extra=_message_rules)

    decision: Decision
    """What was decided."""
    portfolio_state: PortfolioState
    """The portfolio at that time."""
    risk_metrics: RiskMetrics | None
    """Risk figures; may lack fields."""
    config_hash: str
    """Digest of RPM's configuration."""
    rpm_version: str
    """Version of RPM; any is accepted."""
    timestamp: UtcTimestamp
    """When the message was written."""
