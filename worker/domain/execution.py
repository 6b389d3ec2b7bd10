"""The execution of one trade: its states, the only table of legal transitions, and the record that moves along it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from worker.domain.errors import IllegalTransition
from worker.domain.message import IncomingMessage
from worker.domain.trade import Trade


class State(StrEnum):
    """Where an execution stands. The settled ones are named as the confirmation's statuses."""

    RECEIVED = "received"
    SUBMITTING = "submitting"
    ACCEPTED = "accepted"
    WORKING_PARTIAL = "working_partial"
    CANCELLING = "cancelling"
    UNKNOWN = "unknown"
    UNRESOLVED = "unresolved"
    FILLED = "filled"
    PARTIALLY_FILLED = "partially_filled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    ERROR = "error"


FINAL = frozenset({State.FILLED, State.PARTIALLY_FILLED, State.REJECTED, State.EXPIRED, State.CANCELLED, State.ERROR})
SETTLED = FINAL | {State.UNRESOLVED}  # a confirmation exists
OPEN = frozenset(State) - SETTLED  # a coroutine drives it
AT_BROKER = frozenset({State.ACCEPTED, State.WORKING_PARTIAL, State.CANCELLING})

_EVIDENCE = frozenset({State.FILLED, State.PARTIALLY_FILLED})

# Every legal transition. What is not here is a defect and raises.
TRANSITIONS: dict[State, frozenset[State]] = {
    # Before any order: a check refuses, the approval grows too old, sends are exhausted, or the order is written ahead.
    # Unknown only before another attempt, when the broker shows something of one that had been proved not executed.
    State.RECEIVED: frozenset({State.SUBMITTING, State.REJECTED, State.EXPIRED, State.ERROR, State.UNKNOWN}),
    # Written ahead. Proved not executed goes back for another attempt or ends; anything unproved is unknown. What the
    # broker has taken ends at once where its deals, or its order's own end, show in the moment of the answer.
    State.SUBMITTING: frozenset(
        {
            State.RECEIVED,
            State.ACCEPTED,
            State.UNKNOWN,
            State.REJECTED,
            State.EXPIRED,
            State.CANCELLED,
            State.ERROR,
        }
        | _EVIDENCE
    ),
    # At the broker: deals and the order's own end decide; time asks for a cancel; a vanished order is unknown.
    State.ACCEPTED: frozenset(
        {
            State.WORKING_PARTIAL,
            State.CANCELLING,
            State.UNKNOWN,
            State.REJECTED,
            State.EXPIRED,
            State.CANCELLED,
        }
        | _EVIDENCE
    ),
    State.WORKING_PARTIAL: frozenset({State.CANCELLING, State.UNKNOWN} | _EVIDENCE),
    State.CANCELLING: frozenset({State.EXPIRED, State.CANCELLED, State.REJECTED, State.UNKNOWN} | _EVIDENCE),
    # Evidence is sought: found, proved absent (again, or over), or given to a person.
    State.UNKNOWN: frozenset(
        {
            State.RECEIVED,
            State.ACCEPTED,
            State.UNRESOLVED,
            State.ERROR,
            State.REJECTED,
            State.EXPIRED,
            State.CANCELLED,
        }
        | _EVIDENCE
    ),
    # Ended by late evidence or by an operator.
    State.UNRESOLVED: frozenset(
        {State.ACCEPTED, State.ERROR, State.REJECTED, State.EXPIRED, State.CANCELLED} | _EVIDENCE
    ),
    # Final states change on late deals only (filled: on the real figures of a deal that an operator had attested); an
    # error proved not executed is reopened by an operator's replay.
    State.FILLED: _EVIDENCE,
    State.PARTIALLY_FILLED: _EVIDENCE,
    State.REJECTED: _EVIDENCE,
    State.EXPIRED: _EVIDENCE,
    State.CANCELLED: _EVIDENCE,
    State.ERROR: frozenset({State.RECEIVED} | _EVIDENCE),
}


@dataclass(frozen=True, slots=True)
class Deal:
    """
    One execution at the broker, attributed to this trade. Units of the base asset, UTC.

    A deal that an operator attests has only the figures he gave; the others are None until the broker shows it.
    """

    deal_id: int
    order_id: int | None
    magic: int | None
    position_id: int | None
    lots: Decimal
    units: Decimal
    price: Decimal | None
    commission: Decimal | None
    fee: Decimal | None
    time: datetime | None
    attested_by: str | None = None  # None: the broker itself has shown it


@dataclass(frozen=True, slots=True)
class Venue:
    """Where it was really done."""

    backend: str  # simulated | native
    server: str
    login: int
    mode: str  # simulated | demo | live


@dataclass(frozen=True, slots=True)
class Attempt:
    """One write-ahead of a send, and what came of it."""

    number: int  # from 1
    magic: int
    lots: Decimal
    request: dict[str, Any] = field(default_factory=dict)
    # pending | accepted | retry | wait | refused | ambiguous: what its answer proves; found | absent: what looks proved
    outcome: str = "pending"
    retcode: int | None = None
    last_error: int | None = None
    order_ticket: int | None = None
    detail: str = ""
    written_at: datetime | None = None
    sent_at: datetime | None = None
    answered_at: datetime | None = None
    reply: dict[str, Any] | None = None
    sender: str | None = None  # the terminal that is to send it; None: written by a program that did not note it


@dataclass(frozen=True)  # without slots: a trade changes some ten times on its way, and a dictionary is copied at once
class Execution:
    """
    Everything the ledger knows of one trade's execution.

    Immutable; `advance` and `amend` return the next revision, `knowing` the same one. Lots and units are decimals,
    times UTC, tickets the broker's.
    """

    execution_id: UUID
    account: str
    trade: Trade
    message: IncomingMessage
    token: int  # base token, see domain/token.py
    received_at: datetime
    state: State = State.RECEIVED
    revision: int = 1
    version: int = 0  # of the latest confirmation; 0 = none yet
    attempts: int = 0  # write-aheads; numbers the tokens
    sends: int = 0  # of these, how many reached `order_send` or may have
    round_start: int = 0  # `sends` when the present round began (an operator's replay begins a new one)
    stale_allowed: bool = False  # an operator replayed it with the age check lifted
    venue: Venue | None = None
    broker_symbol: str | None = None
    contract_size: Decimal | None = None
    pip_size: Decimal | None = None
    max_slippage_pips: Decimal | None = None
    requested_lots: Decimal | None = None
    first_touch: Decimal | None = None  # of the first validation
    validated_at: datetime | None = None
    submitted_at: datetime | None = None
    accepted_at: datetime | None = None
    cancelled_at: datetime | None = None  # when we first decided to cancel
    cancel_asked_at: datetime | None = None  # when the broker was last asked to
    filled_at: datetime | None = None
    settled_at: datetime | None = None
    order_ticket: int | None = None
    position_id: int | None = None
    deals: tuple[Deal, ...] = ()
    reason: str | None = None
    detail: str | None = None

    @property
    def intended_price(self) -> Decimal | None:
        """Return RPM's intended price, else the touch of the first validation."""
        return self.trade.decision.intended_price or self.first_touch

    @property
    def latest_token(self) -> int:
        """Return the token of the latest attempt; the trade's own while there is none."""
        return self.token | self.attempts

    @property
    def executed_lots(self) -> Decimal:
        """Return the sum of the deals, in lots."""
        return sum((deal.lots for deal in self.deals), Decimal(0))

    @property
    def fill_price(self) -> Decimal | None:
        """Return the volume-weighted average price of the deals, exact; None when one of them is not known."""
        values = [deal.price * deal.lots for deal in self.deals if deal.price is not None]
        known = 0 < len(values) == len(self.deals)
        return sum(values, Decimal(0)) / self.executed_lots if known else None

    def deals_with(self, shown: tuple[Deal, ...]) -> tuple[Deal, ...]:
        """
        Return all deals; one that the broker shows takes the place of the same one as it was attested.

        If they are more than was asked for, the operator took another deal for this trade's: the broker's own stand.
        """
        tickets = {deal.deal_id for deal in shown}
        together = tuple(deal for deal in self.deals if deal.deal_id not in tickets) + shown
        if self.requested_lots is None or sum(deal.lots for deal in together) <= self.requested_lots:
            return together
        return tuple(deal for deal in together if deal.attested_by is None)

    @property
    def is_settled(self) -> bool:
        """Tell whether a confirmation exists and no coroutine drives it any more."""
        return self.state in SETTLED

    def advance(self, to: State, **changes: Any) -> Execution:
        """Return the next revision in state `to`; raises IllegalTransition for what the table does not allow."""
        if to not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"execution {self.execution_id}: {self.state} -> {to} is not a legal transition")
        return self.knowing(state=to, revision=self.revision + 1, **changes)

    def reopened(self, *, stale_allowed: bool) -> Execution:
        """Return the next revision of an error that is tried again: nothing of its last order concerns the next one."""
        forgotten = ("order_ticket", "accepted_at", "cancelled_at", "cancel_asked_at", "settled_at", "reason", "detail")
        return self.advance(
            State.RECEIVED, round_start=self.sends, stale_allowed=stale_allowed, **dict.fromkeys(forgotten)
        )

    def remembering(self, forgotten: Attempt) -> Execution:
        """
        Return it with an attempt that the ledger had never written down.

        What a lot is follows from the approval, if it was not known: the attempt was for all of its units.
        """
        units = self.trade.decision.units or Decimal(0)
        return self.knowing(
            attempts=forgotten.number,
            sends=self.sends + 1,
            requested_lots=forgotten.lots,
            contract_size=self.contract_size or units / forgotten.lots,
        )

    def amend(self, **changes: Any) -> Execution:
        """Return the next revision in the same state (more deals, a ticket learnt)."""
        return self.knowing(revision=self.revision + 1, **changes)

    def knowing(self, **learnt: Any) -> Execution:
        """Return the same revision with what was learnt since: a `dataclasses.replace` at a fraction of its time."""
        if not learnt.keys() <= self.__dataclass_fields__.keys():
            raise TypeError(f"an execution has no {', '.join(learnt.keys() - self.__dataclass_fields__.keys())}")
        other = object.__new__(Execution)
        object.__setattr__(other, "__dict__", vars(self) | learnt)
        return other
