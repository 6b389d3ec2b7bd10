"""
Foreseeing a replay: what would become of a dead letter's message if it were published once more.

The answer comes from the rules that decide when it arrives: the same reading of the message, the same recognition of
its trade. What cannot end well is refused before anything is published, and the letter stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from schemas.refusals import DeadLetterReason
from schemas.refusals import RefusedMessage as Refusal
from worker.domain.checks import perhaps_forgotten
from worker.domain.execution import Execution, State
from worker.domain.halts import Halt
from worker.domain.message import MAX_HEADERS_BYTES, IncomingMessage, size_of
from worker.domain.token import MAX_ATTEMPTS
from worker.domain.trade import Trade
from worker.pipeline.intake import AccountMismatch, read_trade
from worker.pipeline.recognition import admittance
from worker.ports import Admittance

LOST_AFTER = timedelta(minutes=5)
"""When a message that has left the outbox and never arrived counts as lost: any living consumer is far quicker."""

_AMQP_NAME_BYTES = 255  # the longest id or routing key that can be published

_OUR_HEADERS_BYTES = 1000  # the replay's own

_OF_A_TRADE = frozenset(
    {DeadLetterReason.NETWORK_ERROR, DeadLetterReason.OUTCOME_UNKNOWN, DeadLetterReason.IDENTITY_CONFLICT}
)  # whichever ledger wrote such a letter has a trade of that identity
_OF_A_DELIVERY = frozenset(
    {DeadLetterReason.DELIVERY_LIMIT, DeadLetterReason.EXPIRED, DeadLetterReason.INTERNAL_ERROR}
)  # a worker may have taken the message before


class Fate(StrEnum):
    """What a replay would come to. The first four are published, the others are refused."""

    WILL_TRADE = "will_trade"  # an order is sent, if the checks before every send pass
    WILL_CONFIRM = "will_confirm"  # nothing is sent: only a confirmation
    WILL_BE_REFUSED = "will_be_refused"  # its message is as wrong as before
    IN_CONFLICT = "in_conflict"  # its trade is known with another decision
    STALE = "stale"
    HALTED = "halted"  # it would be rejected for good
    UNRESOLVED = "unresolved"
    NOT_OPEN = "not_open"  # resolved, discarded, or being replayed
    IMPOSSIBLE = "impossible"

    @property
    def is_possible(self) -> bool:
        """Tell whether a replay is published at all."""
        return self in _POSSIBLE


_POSSIBLE = frozenset({Fate.WILL_TRADE, Fate.WILL_CONFIRM, Fate.WILL_BE_REFUSED, Fate.IN_CONFLICT})


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a letter is replayed. A `max_trade_age` of zero means no limit."""

    max_trade_age: timedelta
    allow_stale: bool = False


@dataclass(frozen=True, slots=True)
class Errand:
    """How far the message of a letter has come that is being replayed."""

    ordered_at: datetime  # UTC
    is_waiting: bool  # in the outbox
    is_used: bool  # it has arrived

    def is_lost(self, now: datetime) -> bool:
        """Tell whether it has left and will not arrive any more, as far as anybody can tell."""
        return not self.is_waiting and not self.is_used and now - self.ordered_at > LOST_AFTER


@dataclass(frozen=True, slots=True)
class Case:
    """A dead letter and all that decides about its replay, as the ledger has it at one moment."""

    state: str
    state_by: str | None
    reason: str
    account: str | None
    has_worker: bool  # one has run for this account
    message: IncomingMessage
    reading: Trade | Refusal  # what intake reads out of the message
    known: Execution | None = None  # the execution of that trade
    unresolved: UUID | None = None  # the unresolved execution that the letter itself names
    halt: Halt | None = None  # of the trade's symbol or account
    errand: Errand | None = None  # of its latest replay
    is_imported: bool = False  # another ledger took it in
    known_since: datetime | None = None  # before it (UTC) this ledger may have lost some of its past


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would become of a letter. `detail` goes on after "dead letter X ..."."""

    fate: Fate
    detail: str


def read(message: IncomingMessage, account: str, now: datetime) -> Trade | Refusal:
    """Read a message as intake does, with its refusal as an answer like any other."""
    try:
        return read_trade(message, account, now)
    except Refusal as refusal:
        return refusal
    except Exception as error:  # noqa: BLE001 - intake makes a dead letter of whatever one message breaks
        return Refusal(DeadLetterReason.INTERNAL_ERROR, f"the worker fails on it: {error}")


def foresee(case: Case, terms: Terms, now: datetime) -> Prospect:
    """Return what would become of a letter now."""
    return _not_open(case, now) or _impossible(case) or _unresolved(case) or _admission(case, terms, now)


def _not_open(case: Case, now: datetime) -> Prospect | None:
    if case.state in {"new", "failed_again"}:
        return None
    who = f" by {case.state_by}" if case.state_by else ""
    if case.state != "replaying":
        return Prospect(Fate.NOT_OPEN, f"is {case.state}{who}: only a new one, or one that failed again, is replayed")
    if case.errand is None or case.errand.is_lost(now):
        return None
    return Prospect(Fate.NOT_OPEN, f"is replaying{who}: {_on_its_way(case.errand, case.account)}")


def _on_its_way(errand: Errand, account: str | None) -> str:
    if errand.is_used:
        return "its message has arrived, and its trade has not ended yet"
    if errand.is_waiting:
        until = f"until the worker of account {account} publishes it"
        return f"its message waits in the outbox {until}; start one if none runs"
    minutes = LOST_AFTER.total_seconds() / 60
    return f"its message is on its way; if it has not arrived {minutes:g} minutes after the order, replay it again"


def _impossible(case: Case) -> Prospect | None:
    if case.account is None:
        return _never("names no account: publish its message again under approved.<account>.<symbol>")
    if isinstance(case.reading, AccountMismatch):
        return _never(f"is for nobody: {case.reading.detail}")
    if not case.has_worker:
        return _never(f"is for account {case.account}, and no worker has ever run for it: start one first")
    if case.known is not None and case.known.attempts >= MAX_ATTEMPTS:
        return _never(f"belongs to execution {case.known.execution_id}, all {MAX_ATTEMPTS} attempts of which are used")
    return _unpublishable(case.message)


def _unpublishable(message: IncomingMessage) -> Prospect | None:
    names = (message.message_id, message.correlation_id, message.reply_to, message.routing_key)
    headers = {name: value for name, value in message.headers.items() if isinstance(value, str) and name[:2] != "x-"}
    if any(len((name or "").encode()) > _AMQP_NAME_BYTES for name in names):
        return _never(f"has an id longer than AMQP's {_AMQP_NAME_BYTES} bytes: have it published again by its sender")
    if size_of(headers) > MAX_HEADERS_BYTES - _OUR_HEADERS_BYTES:
        return _never("has more headers than can be published: have it published again by its sender")
    return None


def _never(detail: str) -> Prospect:
    return Prospect(Fate.IMPOSSIBLE, detail)


def _unresolved(case: Case) -> Prospect | None:
    is_known = case.known is not None and case.known.state is State.UNRESOLVED
    execution_id = case.known.execution_id if case.known is not None and is_known else case.unresolved
    if execution_id is None:
        return None
    detail = (
        f"belongs to execution {execution_id}, which is unresolved: its order may stand at the broker; resolve it first"
    )
    return Prospect(Fate.UNRESOLVED, detail)


def _admission(case: Case, terms: Terms, now: datetime) -> Prospect:
    if isinstance(case.reading, Refusal):
        return Prospect(Fate.WILL_BE_REFUSED, f"is refused again: {case.reading}")
    found, known = admittance(case.reading, case.known, replayed=True), case.known
    if known is None:
        way = "was never a trade and is taken as new"
        return (
            _known_elsewhere(case)
            or _rpm_says_no(case.reading)
            or _halted(case.halt)
            or _aged(case, case.reading, way, terms, now)
        )
    if found is Admittance.CONFLICT:
        since = f"{known.received_at:%Y-%m-%d %H:%M:%S}"
        return Prospect(Fate.IN_CONFLICT, f"is in conflict: its trade is known since {since} with another decision")
    if found is Admittance.REOPENED:
        way = f"reopens execution {known.execution_id}, proved not executed"
        return _halted(case.halt) or _aged(case, known.trade, way, terms, now)
    return Prospect(Fate.WILL_CONFIRM, f"is only confirmed again: its trade is {known.state}")


def _known_elsewhere(case: Case) -> Prospect | None:
    """Refuse what would be taken as new, although the ledger that wrote the letter had, or may have, its trade."""
    if case.reason not in (_OF_A_TRADE | _OF_A_DELIVERY if case.is_imported else _OF_A_TRADE):
        return None
    return _never(
        f"failed as {case.reason}, and its order may stand at the broker: this ledger does not know its execution; "
        "compare with the broker, what is still wanted is approved anew"
    )


def _rpm_says_no(trade: Trade) -> Prospect | None:
    if not trade.rpm_rejection and not trade.rpm_halt:
        return None
    return Prospect(Fate.WILL_CONFIRM, "is only confirmed as rejected: RPM itself says that it is not to be sent")


def _halted(halt: Halt | None) -> Prospect | None:
    if halt is None or halt.hold:
        return None
    return Prospect(Fate.HALTED, f"would be rejected for good, {halt}; resume first")


def _aged(case: Case, trade: Trade, way: str, terms: Terms, now: datetime) -> Prospect:
    stale = perhaps_forgotten(trade.decision.approved_at, case.known_since) or _too_old(trade, terms, now)
    if stale is None:
        return Prospect(Fate.WILL_TRADE, way)
    if terms.allow_stale:
        return Prospect(Fate.WILL_TRADE, f"{way}, although it {stale}")
    return Prospect(Fate.STALE, f"{stale}: it would expire; --allow-stale tries it nevertheless")


def _too_old(trade: Trade, terms: Terms, now: datetime) -> str | None:
    age, limit = now - trade.decision.approved_at, terms.max_trade_age
    if not limit or age <= limit:
        return None
    return f"was approved {_seconds(age)} ago, the limit is {_seconds(limit)}"


def _seconds(time: timedelta) -> str:
    return f"{time.total_seconds():.0f} s"
