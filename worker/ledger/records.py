"""The domain's values as rows of the ledger, and back. Pure functions; each pair is each other's inverse."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any
from uuid import UUID

from worker.domain.execution import OPEN, Attempt, Deal, Execution, State, Venue
from worker.domain.message import IncomingMessage, MessageKind, OutgoingMessage
from worker.domain.trade import Decision, Direction, IdentityKind, Trade, TradeIdentity
from worker.ledger.encoding import Row, as_row

# Columns named and typed like the fields they hold: those that are written once, and those that steps may change.
_WRITTEN_ONCE = ("account", "token", "received_at")
_STEPPED = (
    "revision",
    "version",
    "attempts",
    "sends",
    "round_start",
    "stale_allowed",
    "broker_symbol",
    "contract_size",
    "pip_size",
    "max_slippage_pips",
    "requested_lots",
    "first_touch",
    "validated_at",
    "submitted_at",
    "accepted_at",
    "cancelled_at",
    "cancel_asked_at",
    "filled_at",
    "settled_at",
    "order_ticket",
    "position_id",
    "reason",
    "detail",
)
_written_once, _stepped = attrgetter(*_WRITTEN_ONCE), attrgetter(*_STEPPED)


def execution_row(execution: Execution) -> dict[str, Any]:
    """Return the whole row of a new execution."""
    return {
        **step_row(execution),
        **dict(zip(_WRITTEN_ONCE, _written_once(execution), strict=True)),
        **_trade_row(execution.trade),
        "body": execution.message.body,
        "envelope": envelope(execution.message),
    }


def step_row(execution: Execution) -> dict[str, Any]:
    """Return what a step may change of an execution; its deals have rows of their own."""
    return {
        "execution_id": execution.execution_id,
        **dict(zip(_STEPPED, _stepped(execution), strict=True)),
        "state": execution.state,
        "is_open": execution.state in OPEN,
        "is_unresolved": execution.state is State.UNRESOLVED,
        "venue": as_row(execution.venue) if execution.venue else None,
        "executed_lots": execution.executed_lots,
    }


def execution_from(row: Row) -> Execution:
    """Return the execution of a row that carries its deals as a JSON list."""
    return Execution(
        execution_id=row["execution_id"],
        **{name: row[name] for name in (*_WRITTEN_ONCE, *_STEPPED)},
        trade=_trade_from(row),
        message=message_from(row["body"], row["envelope"]),
        state=State(row["state"]),
        venue=Venue(**row["venue"]) if row["venue"] else None,
        deals=tuple(deal_from(deal) for deal in row["deals"]),
    )


def attempt_row(execution_id: UUID, attempt: Attempt) -> dict[str, Any]:
    """Return the row of an attempt."""
    return {"execution_id": execution_id, **as_row(attempt)}


def attempt_from(row: Row) -> Attempt:
    """Return the attempt of a row."""
    return Attempt(**{name: row[name] for name in Attempt.__dataclass_fields__})


def deal_row(execution: Execution, deal: Deal) -> dict[str, Any]:
    """Return the row of a deal."""
    return {"account": execution.account, "execution_id": execution.execution_id, **as_row(deal)}


def deal_from(row: Row) -> Deal:
    """Return the deal of a row, whether it comes from its table or from a JSON list."""
    time = row["time"]
    return Deal(
        deal_id=row["deal_id"],
        order_id=row["order_id"],
        magic=row["magic"],
        position_id=row["position_id"],
        lots=Decimal(row["lots"]),
        units=Decimal(row["units"]),
        price=_figure(row["price"]),
        commission=_figure(row["commission"]),
        fee=_figure(row["fee"]),
        time=datetime.fromisoformat(time) if isinstance(time, str) else time,
        attested_by=row["attested_by"],
    )


def _figure(stored: Any) -> Decimal | None:
    return None if stored is None else Decimal(stored)


def envelope(message: IncomingMessage) -> dict[str, Any]:
    """Return everything of a message but its body, as JSON values."""
    return {
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "message_id": message.message_id,
        "correlation_id": message.correlation_id,
        "reply_to": message.reply_to,
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "headers": json_value(message.headers),
        "redelivered": message.redelivered,
    }


def message_from(body: bytes, properties: Row) -> IncomingMessage:
    """Return the message of a body and its envelope."""
    return IncomingMessage(body=bytes(body), **properties)


def outgoing_row(message: OutgoingMessage) -> dict[str, Any]:
    """Return the columns of an outbox row that come from the message itself."""
    return {
        "kind": message.kind,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "body": message.body,
        "properties": {
            "message_id": message.message_id,
            "correlation_id": message.correlation_id,
            "reply_to": message.reply_to,
            "type": message.type,
            "content_type": message.content_type,
            "content_encoding": message.content_encoding,
            "headers": dict(message.headers),
        },
    }


def outgoing_from(row: Row) -> OutgoingMessage:
    """Return the message of an outbox row."""
    return OutgoingMessage(
        kind=MessageKind(row["kind"]),
        exchange=row["exchange"],
        routing_key=row["routing_key"],
        body=bytes(row["body"]),
        **row["properties"],
    )


def json_value(value: Any) -> Any:
    """Return a header value as JSON can hold it; what JSON has no type for becomes text."""
    match value:
        case None | str() | bool() | int():
            return value
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case list() | tuple():
            return [json_value(item) for item in value]
        case dict():
            return {str(key): json_value(item) for key, item in value.items()}
    return str(value)


def _trade_row(trade: Trade) -> dict[str, Any]:
    return {
        "identity_kind": trade.identity.kind,
        "trade_id": trade.identity.trade_id,
        "rpm_order_id": trade.rpm_order_id,
        "body_digest": trade.body_digest,
        "symbol": trade.decision.symbol,
        "direction": int(trade.decision.direction),
        "units": trade.decision.units,
        "intended_price": trade.decision.intended_price,
        "approved_at": trade.decision.approved_at,
        "rpm_rejection": trade.rpm_rejection,
        "rpm_halt": trade.rpm_halt,
    }


def _trade_from(row: Row) -> Trade:
    return Trade(
        identity=TradeIdentity(IdentityKind(row["identity_kind"]), row["trade_id"]),
        decision=Decision(
            account=row["account"],
            symbol=row["symbol"],
            direction=Direction(row["direction"]),
            units=row["units"],
            intended_price=row["intended_price"],
            approved_at=row["approved_at"],
        ),
        rpm_order_id=row["rpm_order_id"],
        body_digest=row["body_digest"],
        rpm_rejection=row["rpm_rejection"],
        rpm_halt=row["rpm_halt"],
    )
