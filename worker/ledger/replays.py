"""
Replaying dead letters: an operator's permission, and the message that points to it.

Both are written in one transaction that holds the row of the letter's account: what the plan says of its trade holds
until the commit. At most one permission of a letter stands; the worker uses it in the transaction of what it causes.
An approval that grows too old on its way is confirmed as expired, as any other would be: its letter is resolved then.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from schemas.dead_letter import DeadLetterHeaders
from worker.domain.errors import Refused
from worker.domain.message import IncomingMessage, MessageKind, OutgoingMessage
from worker.ledger.desk import dead_letter
from worker.ledger.operators import Operator, locked
from worker.ledger.page import Page
from worker.ledger.replay_plan import PlannedReplay, plan
from worker.ledger.statements import sql
from worker.pipeline.prospects import Terms
from worker.ports import Event

_TRADES = "trades"
_COUNTED_ON = {
    "failure-attempt",
    "first-failed-at",
}  # should it fail again, its next dead letter goes on from here
_OURS = {name.replace("_", "-") for name in DeadLetterHeaders.model_fields} - _COUNTED_ON


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOrder:
    """An operator's wish to try dead letters again."""

    by: str
    reason: str
    terms: Terms


async def replay(desk: Operator, letter_id: UUID, order: ReplayOrder) -> UUID:
    """Commit the permission and the message that points to it; returns the replay's id. Raises NotFound, Refused."""
    [planned] = await plan(desk, [letter_id], order.terms)
    if planned.account is None or not planned.prospect.fate.is_possible:
        raise Refused(planned.sentence)
    async with locked(desk, planned.account) as (_, page):
        for statement in ("lock_replays", "lock_letter"):
            await desk.connection.execute(sql(statement), {"letter_id": letter_id})
        [planned] = await plan(desk, [letter_id], order.terms)
        if not planned.prospect.fate.is_possible:
            raise Refused(planned.sentence)
        return await _write(desk, page, planned, order)


async def _write(desk: Operator, page: Page, planned: PlannedReplay, order: ReplayOrder) -> UUID:
    replay_id, now = uuid4(), desk.clock.now()
    letter = {"letter_id": planned.letter_id}
    said = {"by": order.by, "reason": order.reason}
    await desk.connection.execute(sql("supersede_replays"), letter | {"at": now})
    await desk.connection.execute(sql("begin_replay"), letter | said | {"at": now})
    permission = {"replay_id": replay_id, "account": page.account, "allow_stale": order.terms.allow_stale}
    page.put("insert_replays", **letter, **said, **permission, created_at=now)
    message = (await dead_letter(desk, planned.letter_id)).message
    page.queue(replay_message(message, page.account, replay_id))
    about = {
        **letter,
        "replay_id": replay_id,
        "reason": order.reason,
        "allow_stale": order.terms.allow_stale,
        "prospect": planned.prospect.fate,
    }
    page.append(Event("replay_ordered", about, planned.execution_id, order.by))
    return replay_id


def replay_message(message: IncomingMessage, account: str, replay_id: UUID) -> OutgoingMessage:
    """Return a dead letter's message as it is published once more; past the exchange unless it came through it."""
    through_exchange = message.exchange == _TRADES
    return OutgoingMessage(
        kind=MessageKind.REPLAY,
        exchange=_TRADES if through_exchange else "",
        routing_key=message.routing_key if through_exchange else f"trades.approved.{account}",
        body=message.body,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers={**_sender_headers(message), "replay-id": str(replay_id)},
    )


def _sender_headers(message: IncomingMessage) -> dict[str, str]:
    return {
        name: value
        for name, value in message.headers.items()
        if isinstance(value, str) and name not in _OURS and not name.startswith("x-")
    }
