"""Confirmations as they are stored, and the messages that carry them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from worker.domain.message import IncomingMessage, MessageKind, OutgoingMessage
from worker.ledger.encoding import Row

EXCHANGE = "executions"  # the reply exchange, a part of the public interface
_TYPE = "ExecutionConfirmation"
_CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class ReplyAddress:
    """A queue that wants a copy of every confirmation of a trade, under its own correlation."""

    reply_to: str
    correlation_id: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One version of a trade's confirmation: the same bytes at every publication."""

    execution_id: UUID
    version: int
    routing_key: str
    correlation_id: str | None
    body: bytes

    @property
    def message_id(self) -> str:
        """Return what subscribers recognise a repeat by."""
        return f"{self.execution_id}:{self.version}"

    def message(self) -> OutgoingMessage:
        """Return the message for all subscribers."""
        return self._message(MessageKind.CONFIRMATION, EXCHANGE, self.routing_key, self.correlation_id)

    def copy_for(self, address: ReplyAddress) -> OutgoingMessage:
        """Return the copy for one sender's reply queue."""
        return self._message(MessageKind.REPLY, "", address.reply_to, address.correlation_id)

    def _message(
        self, kind: MessageKind, exchange: str, routing_key: str, correlation_id: str | None
    ) -> OutgoingMessage:
        return OutgoingMessage(
            kind=kind,
            exchange=exchange,
            routing_key=routing_key,
            body=self.body,
            message_id=self.message_id,
            correlation_id=correlation_id,
            type=_TYPE,
            content_type=_CONTENT_TYPE,
        )


def confirmation_from(row: Row) -> Confirmation:
    """Return the confirmation of a row."""
    return Confirmation(
        execution_id=row["execution_id"],
        version=row["version"],
        routing_key=row["routing_key"],
        correlation_id=row["correlation_id"],
        body=bytes(row["body"]),
    )


def reply_address(message: IncomingMessage, trade_id: str | None) -> ReplyAddress | None:
    """Return where the sender of this message wants a copy, if it does: under the first correlation that it gave."""
    if not message.reply_to:
        return None
    return ReplyAddress(message.reply_to, message.correlation_id or message.message_id or trade_id or "")
