"""What the pipeline needs of the world: a terminal, a ledger, a clock. Adapters fit these shapes, never the reverse."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from worker.domain.execution import Attempt, Deal, Execution
from worker.domain.halts import Halts
from worker.domain.limits import Order
from worker.domain.market import (
    CancelReport,
    OrderRequest,
    Poll,
    PollRequest,
    Quote,
    QuoteRequest,
    Search,
    SearchRequest,
    SendReport,
)
from worker.domain.message import IncomingMessage, OutgoingMessage, PublishResult
from worker.domain.slippage import Slippage
from worker.domain.trade import Trade


class Clock(Protocol):
    """Time, so that rules can be tested without waiting."""

    def now(self) -> datetime:
        """Return the present time, UTC-aware."""
        ...

    def monotonic(self) -> float:
        """Return seconds on the machine's monotonic clock, comparable between processes of this machine."""
        ...


class Terminal(Protocol):
    """A MetaTrader account, reached through one or more terminal sessions."""

    def sender_of(self, symbol: str) -> str:
        """Return the name of the terminal that sends the orders of a symbol (the broker's name for it)."""
        ...

    async def quote(self, request: QuoteRequest) -> Quote:
        """Ask for everything the checks need. Raises TerminalUnavailable."""
        ...

    async def submit(self, order: OrderRequest) -> SendReport:
        """Send one order. Never raises for what a terminal does: whatever happened is in the report."""
        ...

    async def poll(self, request: PollRequest) -> Poll:
        """Look once for all orders. Raises TerminalUnavailable."""
        ...

    async def search(self, request: SearchRequest) -> Search:
        """Look for tokens in everything the terminal knows. Raises TerminalUnavailable."""
        ...

    async def cancel(self, ticket: int, symbol: str) -> CancelReport:
        """Ask the broker to cancel an order. Raises TerminalUnavailable when the request certainly did not leave."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit trail, before it gets its sequence. The payload holds JSON values only."""

    kind: str
    payload: Mapping[str, Any]
    execution_id: UUID | None = None
    actor: str = "worker"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The head of an account's audit chain: the sequence of its last event and that event's hash, in hex."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class ConfirmationDraft:
    """A confirmation that lacks only its audit anchor, which is known when it is committed."""

    execution_id: UUID
    version: int
    status: str
    final: bool
    account: str
    symbol: str | None
    routing_key: str
    correlation_id: str | None
    render: Callable[[Anchor | None], bytes]  # None: made in the chain of another account than the confirmation's
    slippage: Slippage | None = None  # of what was executed


@dataclass(frozen=True, slots=True)
class Arrival:
    """A valid trade at the door. `execution_id` is used when it turns out to be new."""

    execution_id: UUID
    account: str
    message: IncomingMessage
    trade: Trade
    received_at: datetime

    def as_new(self, token: int, *, stale_allowed: bool = False) -> Execution:
        """Return the execution that it begins with this base token, if it is new."""
        return Execution(
            self.execution_id,
            self.account,
            self.trade,
            self.message,
            token,
            self.received_at,
            stale_allowed=stale_allowed,
        )


class Admittance(StrEnum):
    """What the ledger found when a trade came in."""

    NEW = "new"
    REPEAT = "repeat"  # known, same decision: its confirmation was queued again if there is one
    REOPENED = "reopened"  # an operator's replay of an execution that ended `error`, proved not executed
    CONFLICT = "conflict"  # known with another decision: nothing was written


@dataclass(frozen=True, slots=True)
class Admission:
    """The ledger's answer to an arrival, with the execution as it stands."""

    admittance: Admittance
    execution: Execution


@dataclass(frozen=True, slots=True)
class Change:
    """
    One step of an execution, written in one transaction or not at all.

    `after` must be the next revision of what the ledger holds. `writes_ahead_a_send` makes it fail with
    HaltedAtCommit when the account or the trade's symbol is halted.
    """

    after: Execution
    events: tuple[Event, ...] = ()
    attempt: Attempt | None = None  # inserted or updated by its number
    deals: tuple[Deal, ...] = ()  # new ones; a deal id that is already there is left alone
    confirmation: ConfirmationDraft | None = None
    dead_letter: OutgoingMessage | None = None
    writes_ahead_a_send: bool = False

    @property
    def name(self) -> str:
        """Return the state it leads to and what has happened on the way."""
        return f"{self.after.state}.{self.events[-1].kind}" if self.events else self.after.state.value


class WriteAhead(Protocol):
    """A first attempt of a trade that is not written down yet."""

    def change(self, token: int) -> Change:
        """Return the step that writes it ahead, for the base token that the trade is given. May be asked again."""
        ...


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A message that becomes a dead letter without ever being a trade of its own."""

    execution_id: UUID
    account: str
    message: IncomingMessage
    reason: str
    detail: str
    dead_letter: OutgoingMessage | None  # None when the message already is a dead letter
    confirmation: ConfirmationDraft | None  # None when the sender cannot be told
    trade_id: str | None = None  # as far as it can be read: a message RabbitMQ gave up may belong to a known trade


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something at the broker that carries a token of ours which the ledger never wrote down."""

    magic: int
    order_ticket: int
    symbol: str


OVERLAP = timedelta(days=1)  # behind the watermark: what was compared once is compared again


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far the broker's deals have been compared with the ledger, and the newest deal seen on the account."""

    looked_until: datetime | None = None  # UTC; None = never
    newest_deal: int | None = None  # ticket, whoever's

    def since(self, now: datetime) -> datetime:
        """Return from when on to compare (UTC): with an overlap, and never from what a clock set back calls future."""
        return min(self.looked_until or now, now) - OVERLAP


class Ledger(Protocol):
    """The truth. Every write is atomic, fenced by the lease's epoch, and answered only when its outcome is known."""

    @property
    def halts(self) -> Halts:
        """Return the halts of this account and its symbols, as last seen; at most a second old."""
        ...

    @property
    def known_since(self) -> datetime | None:
        """Return since when this copy of the ledger misses nothing (UTC); None when it never has missed anything."""
        ...

    async def halts_changed(self, within: float | None = None) -> None:
        """Return when the halts were seen to change, or after so many seconds; nothing is asked of the database."""
        ...

    @property
    def namespaces(self) -> frozenset[int]:
        """Return all token namespaces of this database, old ones too."""
        ...

    @property
    def lease_left(self) -> float:
        """Return the seconds until another worker may have taken over, as far as this one knows; 0 or less: it may."""
        ...

    @property
    def watermark(self) -> Watermark:
        """Return how far all deals have been compared, by this worker or those before it."""
        ...

    def compared(self, watermark: Watermark) -> None:
        """Take note that all deals until then have been compared; stored with the next renewal of the lease."""
        ...

    def forget_witness(self) -> None:
        """Forget the newest deal: the account's history does not hold it any more."""
        ...

    async def admit(self, arrival: Arrival, ahead: WriteAhead | None = None) -> Admission:
        """
        Write a new trade down, or recognise a known one.

        `ahead` is written with it if it is new and nothing halts it: then the admitted execution is `submitting`.
        """
        ...

    async def refuse(self, refused: RefusedMessage) -> None:
        """Write a refusal down with its dead letter and confirmation; a redelivery of the same one adds nothing."""
        ...

    async def record(self, change: Change) -> Execution:
        """Write one step down; returns the execution as stored. Raises StaleRevision, HaltedAtCommit, LeaseLost."""
        ...

    async def open_executions(self, besides: Collection[UUID] = ()) -> Sequence[Execution]:
        """Return the executions of this account that are not settled, but for those, in the order of arrival."""
        ...

    async def unresolved(self) -> Sequence[Execution]:
        """Return the executions of this account that wait for evidence or a person, in the order of arrival."""
        ...

    async def latest_attempt(self, execution_id: UUID) -> Attempt:
        """Return the last write-ahead of an execution that has one, as far as its outcome is recorded."""
        ...

    async def orders_since(self, since: datetime) -> Sequence[tuple[datetime, Order]]:
        """Return what was written ahead for this account after that time (UTC), with its time, in its order."""
        ...

    async def report_orphans(self, seen: Sequence[Orphan]) -> Sequence[Orphan]:
        """
        Return those of them that neither the ledger nor an earlier report knows.

        If there are any, the account is halted in the same transaction, with an alert in the audit trail, they are
        remembered, so that they halt it only once, and new tokens come from a new namespace.
        """
        ...

    async def unrecorded(self, deal_ids: Sequence[int]) -> frozenset[int]:
        """Return which of these broker deals the ledger does not have, whatever their execution's state."""
        ...

    async def find_by_token(self, base_token: int) -> Execution | None:
        """Return the execution that this base token belongs to, whatever its state."""
        ...


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A message that waits to be published; ids grow in the order of commit within an account."""

    id: int
    message: OutgoingMessage


class Outbox(Protocol):
    """What the relay needs of the ledger."""

    async def pending(self, limit: int, besides: Collection[int] = ()) -> Sequence[OutboxRow]:
        """
        Return the oldest unpublished messages but for those, at most `limit` and a bounded number of MiB.

        What is committed from now on ends the next `wait`.
        """
        ...

    async def mark(self, results: Mapping[int, PublishResult]) -> None:
        """
        Record that these were published (or, for replies, found nobody), so that they do not come again.

        Returns when that is written, which takes a moment: it is not urgent, and waits for what is.
        """
        ...

    async def wait(self, at_most: float) -> None:
        """Return when `pending` may have more to tell than its last answer, or after `at_most` seconds."""
        ...

    def ring(self) -> None:
        """End the `wait` that is under way, or the next one."""
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message taken from a dead-letter queue, as it is stored for the operator."""

    letter_id: UUID
    source_queue: str
    account: str | None
    reason: str
    detail: str
    message: IncomingMessage  # as RPM published it, as far as the headers tell
    headers: Mapping[str, Any] = field(default_factory=dict)  # of the dead letter itself
    trade_id: str | None = None
    execution_id: UUID | None = None
    failed_at: datetime | None = None
    content_digest: str = ""  # of body and headers: recognises a redelivery of a letter that has no id of its own
    brought_back_by: str | None = None  # who brought it back from where it was parked


class DeadLetterDesk(Protocol):
    """What the ingester of dead letters needs of the ledger."""

    async def take_in(self, letter: DeadLetter, tell: RefusedMessage | None) -> bool:
        """
        Store a dead letter once; False when it was there already.

        `tell` is the refusal to confirm to the sender, used only when the ledger knows no trade of that message.
        """
        ...
