"""
The audit trail's hash chain, as pure functions.

Each event's hash covers the exact text of all its other columns, the previous event's hash among them, so that
changing, dropping, adding or reordering an event breaks every hash after it.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from worker.ledger.encoding import as_row, clean, json_default
from worker.ports import Anchor, Event

GENESIS = Anchor(0, "0" * 64)

_as_text = json.JSONEncoder(default=json_default, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One event as it is stored: all text but the sequence. The order of the fields is the order they are hashed in."""

    account: str
    sequence: int
    at: str
    actor: str
    kind: str
    execution_id: str | None
    payload: str
    previous_hash: str
    hash: str = ""

    @property
    def anchor(self) -> Anchor:
        """Return the chain's head right after this event."""
        return Anchor(self.sequence, self.hash)

    @property
    def before(self) -> Anchor:
        """Return the head that this event says it follows from."""
        return Anchor(self.sequence - 1, self.previous_hash)


@dataclass(frozen=True, slots=True)
class Fault:
    """The first place where a chain does not hold, and what is wrong there."""

    account: str
    sequence: int
    problem: str


@dataclass(frozen=True, slots=True)
class Witness:
    """An anchor in a subscriber's hands."""

    anchor: Anchor
    confirmation: str  # that holds it, by its message id


def seal(account: str, head: Anchor, event: Event, at: datetime) -> AuditRow:
    """Return the event as the next row after `head`."""
    told = (
        account,
        head.sequence + 1,
        at.isoformat(timespec="microseconds"),
        clean(event.actor),
        event.kind,
        str(event.execution_id) if event.execution_id else None,
        _as_text(event.payload),
        head.hash,
    )
    return AuditRow(*told, hash=_hash(told))


def hash_of(row: AuditRow) -> str:
    """
    Return the SHA-256 of every column but the hash itself, in hex.

    Each value is preceded by its length in bytes, and a missing one differs from an empty one, so that no two rows have
    the same encoding.
    """
    return _hash(list(as_row(row).values())[:-1])


def _hash(told: Iterable[str | int | None]) -> str:
    return hashlib.sha256(b"".join(map(_encoded, told))).hexdigest()


class Chain:
    """
    Follows one account's chain, event by event, and then judges its end.

    The chain alone shows only that it holds together: whoever owns the database can make a new one. What subscribers
    hold cannot be made anew, so each `Witness` must find its event as it was.

    `after` is the anchor that the first event must follow from. In a chain `with_gaps`, a selection of events, each
    event is held against its neighbour only where it has one.
    """

    def __init__(
        self, account: str, witnesses: Iterable[Witness] = (), after: Anchor = GENESIS, *, with_gaps: bool = False
    ) -> None:
        self.account = account
        self.head = after  # the last event that holds
        self._with_gaps = with_gaps
        self._witnesses: dict[int, list[Witness]] = defaultdict(list)
        for witness in witnesses:
            self._witnesses[witness.anchor.sequence].append(witness)
        self._youngest = self._witnesses[max(self._witnesses)][0] if self._witnesses else None

    def follow(self, row: AuditRow) -> Fault | None:
        """Take the next event in the order of the sequence; None when it holds."""
        before = self.head
        if row.sequence > before.sequence + 1:
            if not self._with_gaps:
                return self._missing(row.sequence - 1, f"the next one is event {row.sequence}")
            before = row.before
        problem = _problem(row, before) or self._contradiction(before) or self._contradiction(row.anchor)
        if problem is not None:
            return Fault(row.account, row.sequence, problem)
        self.head = row.anchor
        return None

    def end(self, head: Anchor) -> Fault | None:
        """Judge where the chain ends: `head` is what the account's row says."""
        return self.end_at(head, "the account's own row") or self._cut_off()

    def end_at(self, head: Anchor, who: str) -> Fault | None:
        """Do the same where `who` says so, and witnesses of later events may be right: the chain has gone on."""
        last = f"{who} says that event {head.sequence} is the last one"
        if head.sequence > self.head.sequence:
            return self._missing(head.sequence, last)
        if head.sequence < self.head.sequence:
            return Fault(self.account, head.sequence + 1, f"event {head.sequence + 1} was added: {last}")
        if head.hash != self.head.hash:
            problem = f"event {head.sequence} was replaced, or {who} changed: it names another hash"
            return Fault(self.account, head.sequence, problem)
        return None

    @property
    def unheard(self) -> int:
        """Return how many witnesses have not found the event that they are of."""
        return sum(map(len, self._witnesses.values()))

    def _cut_off(self) -> Fault | None:
        """Miss what a witness knows of: an anchor is the head before the confirmation's own event."""
        if self._youngest is None or self._youngest.anchor.sequence < self.head.sequence:
            return None
        own = self._youngest.anchor.sequence + 1
        return self._missing(own, f"confirmation {self._youngest.confirmation} was made with event {own}")

    def _contradiction(self, anchor: Anchor) -> str | None:
        for witness in self._witnesses.pop(anchor.sequence, ()):
            if witness.anchor != anchor:
                names = f"confirmation {witness.confirmation} names another hash for it"
                return f"event {anchor.sequence}, or one before it, was rewritten: {names}"
        return None

    def _missing(self, last: int, why: str) -> Fault:
        first = self.head.sequence + 1
        what = f"event {first} is missing" if first == last else f"events {first} to {last} are missing"
        return Fault(self.account, first, f"{what}: {why}")


def _problem(row: AuditRow, head: Anchor) -> str | None:
    if row.sequence <= head.sequence:
        return f"event {row.sequence} was added, or moved: it comes after event {head.sequence}"
    if row.hash != hash_of(row):
        return f"event {row.sequence} was changed: its content does not match its hash"
    if row.previous_hash != head.hash:
        return f"event {row.sequence}, or the one before it, was replaced: it does not name that one's hash"
    return None


def _encoded(value: str | int | None) -> bytes:
    if value is None:
        return b"-;"
    content = str(value).encode()
    return b"%d:%b;" % (len(content), content)
