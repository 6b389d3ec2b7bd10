"""Replaying dead letters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from worker.domain.errors import NotFound, Refused
from worker.domain.execution import State
from worker.domain.message import IncomingMessage, MessageKind, OutgoingMessage
from worker.ledger.encoding import Row
from worker.ledger.operators import Operator, locked
from worker.ledger.records import message_from
from worker.ledger.statements import sql
from worker.ports import Event

_OPEN_STATES = ("new", "failed_again")
_TRADES = "trades"
_COUNTED_ON = {
    "failure-attempt"
}  # with `first-failed-at`: should it fail again, its next dead letter goes on from here
_OURS = ("x-", "failure-", "replay-id", "worker-id", "worker-version", "original-")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOrder:
    """
    An operator's wish to try a dead letter again.

    `approved_at` is the approval's time as far as the caller can read it from the body; a trade that the ledger knows
    speaks for itself. A `max_trade_age` of zero means no limit.
    """

    letter_id: UUID
    by: str
    reason: str
    max_trade_age: timedelta
    allow_stale: bool = False
    approved_at: datetime | None = None


async def replay(desk: Operator, order: ReplayOrder) -> UUID:
    """Commit the permission and the message that points to it; returns the replay's id. Raises NotFound, Refused."""
    async with locked(desk, (await _letter(desk, order.letter_id))["desk"]) as (_, page):
        letter = await _letter(desk, order.letter_id)
        _refuse_unless_open(letter, "replayed")
        _refuse_what_must_not_be_tried(letter, order, desk.clock.now())
        replay_id, now = uuid4(), desk.clock.now()
        page.put(
            "insert_replays",
            replay_id=replay_id,
            letter_id=order.letter_id,
            account=letter["account"],
            by=order.by,
            reason=order.reason,
            allow_stale=order.allow_stale,
            created_at=now,
        )
        page.queue(_message(letter, replay_id))
        about = {
            "letter_id": order.letter_id,
            "replay_id": replay_id,
            "reason": order.reason,
            "allow_stale": order.allow_stale,
        }
        page.append(Event("replay_ordered", about, letter["execution_id"], order.by))
        await _set_state(desk, order.letter_id, "replaying", order.by, order.reason)
    return replay_id


async def _letter(desk: Operator, letter_id: UUID) -> Row:
    cursor = await desk.connection.execute(sql("letter_to_decide"), {"letter_id": letter_id})
    letter = await cursor.fetchone()
    if letter is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    return letter


async def _set_state(desk: Operator, letter_id: UUID, state: str, by: str, reason: str) -> None:
    values = {"letter_id": letter_id, "state": state, "by": by, "reason": reason, "at": desk.clock.now()}
    await desk.connection.execute(sql("set_letter_state"), values)


def _refuse_unless_open(letter: Row, wanted: str) -> None:
    if letter["state"] not in _OPEN_STATES:
        who = f" by {letter['state_by']}" if letter["state_by"] else ""
        raise Refused(
            f"dead letter {letter['letter_id']} is {letter['state']}{who}: only a new one, or one that has failed "
            f"again, can be {wanted}"
        )


def _refuse_what_must_not_be_tried(letter: Row, order: ReplayOrder, now: datetime) -> None:
    name = f"dead letter {letter['letter_id']}"
    if letter["account"] is None:
        raise Refused(f"{name} names no account: publish its message again under approved.<account>.<symbol>")
    state = State(letter["trade_state"]) if letter["trade_state"] else None
    if state is State.UNRESOLVED:
        raise Refused(
            f"{name} belongs to execution {letter['trade_execution_id']}, which is unresolved: its order may "
            "stand at the broker; resolve it first"
        )
    approved_at = letter["trade_approved_at"] or order.approved_at
    would_trade = state in {None, State.ERROR}
    if would_trade and approved_at and order.max_trade_age and not order.allow_stale:
        age = now - approved_at
        if age > order.max_trade_age:
            raise Refused(
                f"{name} was approved {age.total_seconds():.0f} s ago, the limit is "
                f"{order.max_trade_age.total_seconds():g} s: it would expire; --allow-stale trades it at today's price"
            )


def _message(letter: Row, replay_id: UUID) -> OutgoingMessage:
    message = message_from(letter["body"], letter["envelope"])
    through_exchange = message.exchange == _TRADES
    return OutgoingMessage(
        kind=MessageKind.REPLAY,
        exchange=_TRADES if through_exchange else "",
        routing_key=message.routing_key if through_exchange else f"trades.approved.{letter['account']}",
        body=message.body,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        content_type=message.content_type,
        headers={**_sender_headers(message), "replay-id": str(replay_id)},
    )


def _sender_headers(message: IncomingMessage) -> dict[str, str]:
    return {
        name: value
        for name, value in message.headers.items()
        if isinstance(value, str) and (name in _COUNTED_ON or not name.startswith(_OURS))
    }
