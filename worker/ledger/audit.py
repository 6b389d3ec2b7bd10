"""
The audit trail's hash chain, as pure functions.

Each event's hash covers the exact text of all its other columns, the previous event's hash among them, so that
changing, dropping, adding or reordering an event breaks every hash after it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from worker.ledger.encoding import as_row, clean, json_default
from worker.ports import Anchor, Event

GENESIS = Anchor(0, "0" * 64)


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


@dataclass(frozen=True, slots=True)
class Fault:
    """The first place where a chain does not hold, and what is wrong there."""

    account: str
    sequence: int
    problem: str


def seal(account: str, head: Anchor, event: Event, at: datetime) -> AuditRow:
    """Return the event as the next row after `head`."""
    row = AuditRow(
        account=account,
        sequence=head.sequence + 1,
        at=at.isoformat(timespec="microseconds"),
        actor=clean(event.actor),
        kind=event.kind,
        execution_id=str(event.execution_id) if event.execution_id else None,
        payload=json.dumps(event.payload, default=json_default, separators=(",", ":")),
        previous_hash=head.hash,
    )
    return replace(row, hash=hash_of(row))


def hash_of(row: AuditRow) -> str:
    """
    Return the SHA-256 of every column but the hash itself, in hex.

    Each value is preceded by its length in bytes, and a missing one differs from an empty one, so that no two rows have
    the same encoding.
    """
    return hashlib.sha256(b"".join(_encoded(value) for value in list(as_row(row).values())[:-1])).hexdigest()


def first_fault(rows: Iterable[AuditRow], after: Anchor = GENESIS) -> Fault | None:
    """Follow one account's chain from `after` and return the first row that does not continue it, or None."""
    head = after
    for row in rows:
        problem = _problem(row, head)
        if problem is not None:
            return Fault(row.account, row.sequence, problem)
        head = row.anchor
    return None


def _problem(row: AuditRow, head: Anchor) -> str | None:
    if row.sequence != head.sequence + 1:
        return f"event {row.sequence} follows event {head.sequence}: events are missing, added or out of order"
    if row.previous_hash != head.hash:
        return "it does not name the hash of the event before it"
    if row.hash != hash_of(row):
        return "its content does not match its hash"
    return None


def _encoded(value: str | int | None) -> bytes:
    if value is None:
        return b"-;"
    content = str(value).encode()
    return b"%d:%b;" % (len(content), content)
