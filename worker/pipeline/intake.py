"""Stage 1: a message becomes a trade in the ledger, or a dead letter; only then is it acknowledged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from schemas import strict_json
from schemas.canonical import body_digest
from schemas.refusals import DeadLetterReason
from schemas.refusals import RefusedMessage as Refusal
from schemas.rpm_output import RPMOutput, SchemaInvalid, UnsupportedVersion, read_rpm_output
from worker.domain.checks import CLOCK_TOLERANCE
from worker.domain.errors import LeaseLost, ServiceUnavailable
from worker.domain.execution import Execution
from worker.domain.identifier import identifier
from worker.domain.message import IncomingMessage
from worker.domain.trade import NO_DIGEST, Decision, Direction, IdentityKind, Trade, TradeIdentity
from worker.pipeline.refusal import Refuser
from worker.ports import Admission, Admittance, Arrival, Clock, Ledger, RefusedMessage

_log = structlog.get_logger()


class Intake:
    """Takes messages in. When `take` returns, whatever the message was is committed."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        account: str,
        refuser: Refuser,
        admit: Callable[[Arrival], Awaitable[Admission]],
    ) -> None:
        self._ledger, self._clock, self._account = ledger, clock, account
        self._refuser, self._let_in = refuser, admit
        self.clock_ahead_seconds = 0.0  # of the last approval whose time could be read, beyond the tolerance

    async def take(self, message: IncomingMessage) -> None:
        """Admit a message as a trade, recognise it, or refuse it. Raises only when the ledger cannot be written."""
        try:
            trade = read_trade(message, self._account, self._clock.now())
            self.clock_ahead_seconds = 0.0
            await self._admit(message, trade)
        except Refusal as refusal:
            refused = self._refuser.refuse(message, refusal.reason, refusal.detail)
            if isinstance(refusal, FromTheFuture):
                self._tell_of_clock(refusal, refused)
            await self._refuse(refused)
        except (LeaseLost, ServiceUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - whatever one message breaks, the ones behind it must go on
            detail = f"the worker failed on this message: {error}. Nothing was sent. Report it, then replay it."
            refused = self._refuser.refuse(message, "internal_error", detail, error=error)
            _log.exception("intake_failed", **_about(refused))
            await self._ledger.refuse(refused)

    async def _admit(self, message: IncomingMessage, trade: Trade) -> None:
        now = self._clock.now()
        arrival = Arrival(identifier(now), self._account, message, trade, now)
        admission = await self._let_in(arrival)
        if admission.admittance is Admittance.CONFLICT:
            detail = _conflict(trade, admission.execution)
            await self._refuse(self._refuser.refuse(message, "identity_conflict", detail))

    async def _refuse(self, refused: RefusedMessage) -> None:
        _log.warning("message_refused", reason=refused.reason, detail=refused.detail, **_about(refused))
        await self._ledger.refuse(refused)

    def _tell_of_clock(self, refusal: FromTheFuture, refused: RefusedMessage) -> None:
        self.clock_ahead_seconds = refusal.ahead_seconds
        _log.error("clock_alert", alert=True, ahead_seconds=refusal.ahead_seconds, **_about(refused))


def _about(refused: RefusedMessage) -> dict[str, str | None]:
    """Return by what a refused message is found again, in the log and elsewhere."""
    return {
        "execution_id": str(refused.execution_id),
        "trade_id": refused.trade_id,
        "message_id": refused.message.message_id,
    }


def read_trade(message: IncomingMessage, account: str, now: datetime) -> Trade:
    """Read a message into a trade of this account; raises a `schemas.refusals.RefusedMessage`."""
    _refuse_other_account(message, account)
    _refuse_other_encoding(message)
    value = strict_json.parse(message.body)
    output = read_rpm_output(value)
    # Nothing is ever compared with the body of a message that has an order id, and a digest is a third of the reading.
    digest = NO_DIGEST if output.decision.order_id else body_digest(value)
    decision = _decision(output, account)
    _refuse_the_future(decision.approved_at, now)
    return Trade(
        identity=_identity(output, message, digest),
        decision=decision,
        rpm_order_id=output.decision.order_id,
        body_digest=digest,
        rpm_rejection=_rejection(output),
        rpm_halt=_halt(output),
    )


def _refuse_other_account(message: IncomingMessage, account: str) -> None:
    parts = message.routing_key.split(".")
    if parts[0] == "approved" and len(parts) > 1 and parts[1] != account:
        raise AccountMismatch(
            f"the routing key says account {parts[1]}, the queue is that of account {account}; "
            f"publish it for one account only"
        )


def _refuse_other_encoding(message: IncomingMessage) -> None:
    if message.content_encoding not in {None, "", "utf-8", "UTF-8", "identity"}:
        raise UnsupportedVersion(f"content_encoding {message.content_encoding!r}: send plain UTF-8 JSON")


class AccountMismatch(Refusal):
    """Routing key and queue disagree about the account."""

    def __init__(self, detail: str) -> None:
        super().__init__(DeadLetterReason.ACCOUNT_MISMATCH, detail)


def _refuse_the_future(approved_at: datetime, now: datetime) -> None:
    ahead = approved_at - now
    if ahead > CLOCK_TOLERANCE:
        raise FromTheFuture(ahead.total_seconds())


class FromTheFuture(SchemaInvalid):
    """The sender's clock is ahead of ours, or ours is behind: then the age of an approval means nothing."""

    def __init__(self, ahead_seconds: float) -> None:
        super().__init__(
            f"the approval's timestamp is {ahead_seconds:.1f} s in the future: compare RPM's clock and the "
            f"worker's with a time server"
        )
        self.ahead_seconds = ahead_seconds


def _identity(output: RPMOutput, message: IncomingMessage, digest: str) -> TradeIdentity:
    if output.decision.order_id is not None:
        return TradeIdentity(IdentityKind.ORDER_ID, output.decision.order_id)
    if message.message_id:
        return TradeIdentity(IdentityKind.MESSAGE_ID, message.message_id)
    return TradeIdentity(IdentityKind.BODY, digest)


def _decision(output: RPMOutput, account: str) -> Decision:
    approved, rejected = output.decision.approved_trade, output.decision.rejected_trade
    if approved is not None and output.decision.status != "REJECTED":
        return Decision(
            account=account,
            symbol=approved.symbol,
            direction=Direction(approved.direction),
            units=approved.position_units,
            intended_price=approved.intended_price,
            approved_at=approved.timestamp,
        )
    if rejected is None:
        raise SchemaInvalid("decision.rejected_trade: missing, and the status is REJECTED")
    return Decision(
        account=account,
        symbol=rejected.symbol,
        direction=Direction(rejected.direction),
        units=None,
        intended_price=None,
        approved_at=rejected.timestamp or output.timestamp,
    )


def _rejection(output: RPMOutput) -> str | None:
    rejected = output.decision.rejected_trade
    if output.decision.status != "REJECTED" or rejected is None:
        return None
    details = rejected.rejection_details
    return f"{rejected.rejection_reason} ({details})" if details else rejected.rejection_reason


def _halt(output: RPMOutput) -> str | None:
    state, decision = output.portfolio_state, output.decision
    if state.trading_halted:
        return f"RPM's portfolio is halted: {state.halt_reason or 'no reason given'}"
    if decision.kill_switch_triggered:
        return f"RPM's kill switch was triggered: {decision.kill_switch_reason or 'no reason given'}"
    return None


def _conflict(trade: Trade, known: Execution) -> str:
    mine, theirs = trade.decision, known.trade.decision
    fields = ("account", "symbol", "direction", "units", "intended_price", "approved_at")
    different = [
        f"{name} {getattr(mine, name)} instead of {getattr(theirs, name)}"
        for name in fields
        if getattr(mine, name) != getattr(theirs, name)
    ]
    return (
        f"trade {known.trade.identity.trade_id} is known since {known.received_at.isoformat()} with another decision: "
        f"{', '.join(different)}. The first one stands; give a new trade a new order_id or message_id"
    )
