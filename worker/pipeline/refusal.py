"""A message that is refused before it is a trade: its dead letter, and the word to its sender."""

from __future__ import annotations

import traceback
from uuid import uuid4

from schemas import strict_json
from schemas.canonical import body_digest
from schemas.refusals import RefusedMessage as Refusal
from schemas.rpm_output import ReadableParts, readable_parts
from worker.domain.message import IncomingMessage
from worker.pipeline.confirmation import refusal_draft
from worker.pipeline.dead_letter import Failure, dead_letter
from worker.ports import Clock, RefusedMessage


class Refuser:
    """Turns what is wrong with a message into what is written down about it."""

    def __init__(self, account: str, worker_id: str, clock: Clock) -> None:
        self._account, self._worker_id, self._clock = account, worker_id, clock

    def refuse(
        self, message: IncomingMessage, reason: str, detail: str, *, error: BaseException | None = None
    ) -> RefusedMessage:
        """Return the refusal of a message with its dead letter, and its confirmation when the sender can be told."""
        parts, trade_id = _read_what_can_be_read(message)
        if reason == "identity_conflict":
            trade_id = None  # its confirmation must never overwrite that of the first trade
        execution_id, now = uuid4(), self._clock.now()
        failure = Failure(
            reason=reason,
            detail=detail,
            failed_at=now,
            worker_id=self._worker_id,
            exception=type(error).__name__ if error else "",
            stack="".join(traceback.format_exception(error)) if error else "",
        )
        return RefusedMessage(
            execution_id=execution_id,
            account=self._account,
            message=message,
            reason=reason,
            detail=detail,
            dead_letter=dead_letter(message, self._account, failure, trade_id=trade_id, execution_id=execution_id),
            confirmation=refusal_draft(
                execution_id=execution_id,
                account=self._account,
                message=message,
                parts=parts,
                trade_id=trade_id,
                reason=reason,
                detail=detail,
                at=now,
            ),
            trade_id=trade_id,
        )

    def tell(self, message: IncomingMessage, account: str | None, reason: str, detail: str) -> RefusedMessage:
        """Return the word to the sender of a message that already is a dead letter."""
        parts, trade_id = _read_what_can_be_read(message)
        execution_id = uuid4()
        return RefusedMessage(
            execution_id=execution_id,
            account=self._account,
            message=message,
            reason=reason,
            detail=detail,
            dead_letter=None,
            confirmation=refusal_draft(
                execution_id=execution_id,
                account=account or self._account,
                message=message,
                parts=parts,
                trade_id=trade_id,
                reason=reason,
                detail=detail,
                at=self._clock.now(),
            ),
            trade_id=trade_id,
        )


def _read_what_can_be_read(message: IncomingMessage) -> tuple[ReadableParts, str | None]:
    try:
        value = strict_json.parse(message.body)
    except Refusal:
        return readable_parts(None), message.message_id
    parts = readable_parts(value)
    return parts, parts.order_id or message.message_id or body_digest(value)
