"""The approved trade: who it is, what was decided, and what RPM itself says against sending it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum

NO_DIGEST = ""


class Direction(IntEnum):
    """RPM's direction of a trade; multiplies a price difference into "for us"."""

    LONG = 1
    SHORT = -1


class IdentityKind(StrEnum):
    """What the trade's identity was taken from; the three kinds never collide."""

    ORDER_ID = "order_id"
    MESSAGE_ID = "message_id"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class TradeIdentity:
    """The name under which a trade is executed at most once, for ever."""

    kind: IdentityKind
    trade_id: str


@dataclass(frozen=True, slots=True)
class Decision:
    """
    What makes two messages with the same identity the same trade.

    Compared field by field, numbers as decimals. `units` are units of the base asset; `None` where RPM rejected.
    """

    account: str
    symbol: str
    direction: Direction
    units: Decimal | None
    intended_price: Decimal | None
    approved_at: datetime


@dataclass(frozen=True, slots=True)
class Trade:
    """A valid RPM output, reduced to what execution needs."""

    identity: TradeIdentity
    decision: Decision
    rpm_order_id: str | None
    body_digest: str  # without an order id, an equal body is the same trade; NO_DIGEST with one
    rpm_rejection: str | None = None  # RPM did not approve: its reason
    rpm_halt: str | None = None  # RPM's portfolio is halted or its kill switch fired: its reason
