"""The dead letter of a message that needs a person, as it is published to `trades.dlx`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from schemas.dead_letter import DeadLetterHeaders, DeadLetterReason
from worker import __version__
from worker.domain.message import IncomingMessage, MessageKind, OutgoingMessage

EXCHANGE = "trades.dlx"


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a message, when, where, and the how-many-eth time."""

    reason: str
    detail: str
    failed_at: datetime
    worker_id: str
    attempt: int | None = None  # None: one more than the message itself knows of
    exception: str = ""
    stack: str = ""


def dead_letter(
    message: IncomingMessage,
    account: str,
    failure: Failure,
    *,
    trade_id: str | None = None,
    execution_id: UUID | None = None,
) -> OutgoingMessage:
    """Return the dead letter: body, correlation and reply address as they came, a message id of its own."""
    headers = DeadLetterHeaders(
        failure_reason=DeadLetterReason(failure.reason),
        failure_detail=failure.detail,
        failure_exception=failure.exception or None,
        failure_stack=failure.stack or None,
        failed_at=failure.failed_at.isoformat(),
        first_failed_at=message.header("first-failed-at") or failure.failed_at.isoformat(),
        failure_attempt=str(failure.attempt or _failures_so_far(message) + 1),
        worker_id=failure.worker_id,
        worker_version=__version__,
        account=account,
        trade_id=trade_id,
        execution_id=str(execution_id) if execution_id else None,
        original_exchange=message.exchange,
        original_routing_key=message.routing_key,
        original_message_id=message.message_id,
        replay_id=message.header("replay-id"),
    )
    return OutgoingMessage(
        kind=MessageKind.DEAD_LETTER,
        exchange=EXCHANGE,
        routing_key=message.routing_key or f"approved.{account}",
        body=message.body,
        message_id=str(uuid4()),
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=headers.to_headers(),
    )


def _failures_so_far(message: IncomingMessage) -> int:
    told = message.header("failure-attempt") or ""
    return int(told) if told.isascii() and told.isdigit() and len(told) < 10 else 0  # noqa: PLR2004 - anyone may write it
