"""
What the worker tells the world about a trade.

Numbers leave as JSON numbers in plain notation with the digits they have; nothing passes through a float. Times leave
in UTC with microseconds and `Z`. The same confirmation always gives the same bytes.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from schemas import strict_json
from schemas.endings import REASONS_OF_STATUS, ConfirmationStatus, RejectionReason
from schemas.fields import Direction, Moment, NonNegativeNumber, Number, PositiveNumber, Symbol, is_symbol
from schemas.json_writer import written
from schemas.problems import schema_invalid
from schemas.text import storable

__all__ = [
    "CONTENT_TYPE",
    "MAX_ACCOUNT_CHARACTERS",
    "MESSAGE_TYPE",
    "REASONS_OF_STATUS",
    "AuditAnchor",
    "ConfirmationStatus",
    "DealReport",
    "ExecutionConfirmation",
    "RejectionReason",
    "Venue",
    "message_id",
    "routing_key",
]

CONTENT_TYPE = "application/json"
MESSAGE_TYPE = "ExecutionConfirmation"
MAX_ACCOUNT_CHARACTERS = 100
"""With the longest status (16) and symbol (29 units, 87 bytes) a routing key stays below AMQP's 255 bytes."""

_ACCOUNT = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_ACCOUNT_CHARACTERS}}}")
_UNREADABLE = "_"


_Text = Annotated[str, AfterValidator(storable)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, use_attribute_docstrings=True)


class Venue(_Part):
    """Where the trade was really done."""

    backend: _Text
    """`simulated` or `native`."""
    server: _Text | None
    """The trade server's name; null before the first login."""
    login: NonNegativeInt | None
    """The account's number at the broker; null before the first login."""
    mode: Literal["simulated", "demo", "live"]
    """Whether real money was moved."""


class DealReport(_Part):
    """One deal at the broker."""

    deal_id: _Text
    """The broker's ticket of the deal."""
    units: PositiveNumber
    """Units of the base asset."""
    lots: PositiveNumber
    """The same size in lots."""
    price: PositiveNumber | None
    """Price in the quote currency; null when an operator attests the deal and does not know it."""
    time: Moment | None
    """When it was done, UTC; null when only an operator attests the deal."""
    commission: Number | None
    """In the account's currency; negative is paid by us; null when only an operator attests the deal."""
    fee: Number | None
    """In the account's currency; negative is paid by us; null when only an operator attests the deal."""


class AuditAnchor(_Part):
    """Head of the account's audit chain just before this confirmation's own event."""

    sequence: NonNegativeInt
    """Number of the event in the account's chain; 0 before the first."""
    hash: _Text
    """Hash of that event."""


def _endings(schema: dict[str, Any]) -> None:
    schema["allOf"] = [
        {
            "if": {"properties": {"status": {"const": status.value}}},
            "then": {
                "properties": {
                    "final": {"const": status is not ConfirmationStatus.UNRESOLVED},
                    "rejection_reason": {"enum": sorted(reasons)} if reasons else {"type": "null"},
                }
            },
        }
        for status, reasons in REASONS_OF_STATUS.items()
    ]


class ExecutionConfirmation(_Part):
    """What became of one trade. A later version replaces an earlier one of the same `execution_id`."""

    model_config = ConfigDict(json_schema_extra=_endings)

    schema_version: Literal["1.0"] = "1.0"
    """Version of this schema. Fields may be added within 1.x."""
    execution_id: _Text
    """The worker's name of the execution."""
    version: PositiveInt
    """1, 2, ...; the first settled outcome is version 1."""
    final: bool
    """False only when unresolved: a later version follows."""
    trade_id: _Text | None
    """Identity of the trade; null when the message was refused before it had one."""
    rpm_order_id: _Text | None
    """RPM's order id; null when RPM gave none."""
    account: _Text
    """The account of the queue that the trade came from."""
    symbol: Symbol | None
    """As approved; null when unreadable."""
    direction: Direction | None
    """As approved: 1 is long, -1 is short; null when unreadable."""
    venue: Venue | None
    """Where it was done; null when the worker knows no broker for the account."""
    order_id: _Text | None
    """The broker's order ticket; null when nothing was sent."""
    position_id: _Text | None
    """The broker's position identifier; null when nothing was executed."""
    deals: tuple[DealReport, ...] = Field(strict=False)
    """The broker's deals, in order; empty when nothing was executed."""
    status: ConfirmationStatus = Field(strict=False)
    """How it ended."""
    intended_units: PositiveNumber | None
    """As approved, in units of the base asset; null when unreadable or rejected by RPM."""
    executed_units: NonNegativeNumber | None
    """Executed, in units of the base asset; null while unresolved."""
    requested_lots: NonNegativeNumber | None
    """Asked from the broker, in lots; null when nothing was computed."""
    executed_lots: NonNegativeNumber | None
    """Executed, in lots; null while unresolved."""
    intended_price: PositiveNumber | None
    """RPM's intended price, else the touch at first validation (ask to buy, bid to sell)."""
    fill_price: PositiveNumber | None
    """Volume-weighted price of the deals; null when nothing was executed or a deal's price is not known."""
    slippage_pips: NonNegativeNumber | None
    """Distance of fill from intended price, in pips."""
    adverse_slippage_pips: Number | None
    """The same with its sign, in pips: positive is worse for us."""
    slippage_exceeded: bool | None
    """Whether the adverse slippage is above `MAX_SLIPPAGE_PIPS`."""
    rejection_reason: RejectionReason | None = Field(strict=False)
    """Why, as a word; null when filled or partially filled."""
    rejection_details: _Text | None
    """Why, as a sentence; null when filled or partially filled."""
    attempts: NonNegativeInt
    """How often an order was sent."""
    received_at: Moment
    """When the message was taken in, UTC."""
    validated_at: Moment | None
    """When the checks before the first send had passed, UTC."""
    submitted_at: Moment | None
    """When the last order was sent, UTC."""
    filled_at: Moment | None
    """When the last deal was done, UTC; null when nothing was executed or nobody knows the time."""
    timestamp: Moment
    """When this confirmation was made, UTC."""
    audit: AuditAnchor | None
    """Anchor in the audit chain; null when the account has none here."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.final == (self.status is ConfirmationStatus.UNRESOLVED):
            raise PydanticCustomError("contradiction", f"is {self.status} with final={self.final}")
        allowed = REASONS_OF_STATUS[self.status]
        if self.rejection_reason not in (allowed or {None}):
            raise PydanticCustomError("contradiction", f"is {self.status} with the reason {self.rejection_reason}")
        return self

    @property
    def message_id(self) -> str:
        """The AMQP `message_id`: equal on every re-publication, so that subscribers can drop repeats."""
        return message_id(self.execution_id, self.version)

    @property
    def routing_key(self) -> str:
        """The routing key on the exchange `executions`."""
        return routing_key(self.status, self.account, self.symbol)

    def to_bytes(self) -> bytes:
        """Return the message body: UTF-8 JSON, fields in the order of this class."""
        return written(self).encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """Read a message body, for subscribers. Raises `MalformedJson`, `MessageTooLarge` or `SchemaInvalid`."""
        value = strict_json.parse(body)
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise schema_invalid(error) from None


def message_id(execution_id: str, version: int) -> str:
    """Return the AMQP `message_id` of a confirmation."""
    return f"{execution_id}:{version}"


def routing_key(status: ConfirmationStatus, account: str, symbol: str | None) -> str:
    """Return `confirmation.<status>.<account>.<symbol>`, at most 255 bytes; `_` for a part that is unreadable."""
    account_word = account if _ACCOUNT.fullmatch(account) else _UNREADABLE
    symbol_words = symbol if is_symbol(symbol) else _UNREADABLE
    return f"confirmation.{status}.{account_word}.{symbol_words}"
