"""Reads what RPM published: whole, or refused with a sentence that names the field."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from schemas.fields import Direction, OrderId, PositiveNumber, Symbol
from schemas.instructions import unsupported_instruction
from schemas.problems import SchemaInvalid, schema_invalid
from schemas.refusals import DeadLetterReason, RefusedMessage, quoted
from schemas.rpm_models import (
    KNOWN_VERSIONS,
    ApprovedTrade,
    Decision,
    OpenPosition,
    PortfolioState,
    RejectedTrade,
    RiskMetrics,
    RPMOutput,
)
from schemas.strict_json import JsonValue

__all__ = [
    "ApprovedTrade",
    "Decision",
    "OpenPosition",
    "PortfolioState",
    "RPMOutput",
    "ReadableParts",
    "RejectedTrade",
    "RiskMetrics",
    "SchemaInvalid",
    "UnsupportedInstruction",
    "UnsupportedVersion",
    "read_rpm_output",
    "readable_parts",
    "unsupported_instruction",
]

_T = TypeVar("_T")


class UnsupportedInstruction(RefusedMessage):
    """Asks for an order that the worker does not send."""

    def __init__(self, detail: str) -> None:
        super().__init__(DeadLetterReason.UNSUPPORTED_INSTRUCTION, detail)


class UnsupportedVersion(RefusedMessage):
    """Says of itself that it follows another version of this schema."""

    def __init__(self, detail: str) -> None:
        super().__init__(DeadLetterReason.UNSUPPORTED_VERSION, detail)


def read_rpm_output(value: JsonValue) -> RPMOutput:
    """
    Return the message that `strict_json.parse` read.

    Raises `UnsupportedVersion`, `UnsupportedInstruction` or `SchemaInvalid`, in this order. RPM writes no
    `schema_version`; a message that has one is read when it is "1.0" or "1". Any `rpm_version` is read.
    """
    if not isinstance(value, dict):
        raise SchemaInvalid(f"the message is {quoted(value)}, but must be an object")
    _refuse_other_version(value.get("schema_version"))
    if (instruction := unsupported_instruction(value)) is not None:
        raise UnsupportedInstruction(instruction)
    try:
        return RPMOutput.model_validate(value)
    except ValidationError as error:
        raise schema_invalid(error) from None


def _refuse_other_version(version: JsonValue) -> None:
    if version is not None and version not in KNOWN_VERSIONS:
        raise UnsupportedVersion(f'schema_version is {quoted(version)}, but only "1.0" can be read')


@dataclass(frozen=True, slots=True)
class ReadableParts:
    """What could be read of a refused message; None where it could not."""

    order_id: str | None = None
    symbol: str | None = None
    direction: Literal[1, -1] | None = None
    units: Decimal | None = None
    intended_price: Decimal | None = None


_ORDER_ID: TypeAdapter[str] = TypeAdapter(OrderId)
_SYMBOL: TypeAdapter[str] = TypeAdapter(Symbol)
_DIRECTION: TypeAdapter[Literal[1, -1]] = TypeAdapter(Direction)
_POSITIVE: TypeAdapter[Decimal] = TypeAdapter(PositiveNumber)


def readable_parts(value: JsonValue) -> ReadableParts:
    """Return what is readable of a refused message, for its confirmation. None (not JSON at all) gives no parts."""
    decision = _member(value, "decision")
    trade = _member(decision, "approved_trade") or _member(decision, "rejected_trade")
    return ReadableParts(
        order_id=_readable(_ORDER_ID, decision.get("order_id")),
        symbol=_readable(_SYMBOL, trade.get("symbol")),
        direction=_readable(_DIRECTION, trade.get("direction")),
        units=_readable(_POSITIVE, trade.get("position_units")),
        intended_price=_readable(_POSITIVE, trade.get("intended_price")),
    )


def _member(parent: JsonValue, name: str) -> dict[str, JsonValue]:
    member = parent.get(name) if isinstance(parent, dict) else None
    return member if isinstance(member, dict) else {}


def _readable(kind: TypeAdapter[_T], value: JsonValue) -> _T | None:
    try:
        return kind.validate_python(value)
    except ValidationError:
        return None
