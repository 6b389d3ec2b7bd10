"""
What an export was made of: written beside it, so that what is missing from it shows, and where it came from.

A manifest carries a checksum of its own against accidents. It is no signature: who can change an export can change its
manifest too. What cannot be changed are the anchors in subscribers' hands.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import zip_longest
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar

from worker.ledger.audit import AuditRow
from worker.ledger.exported.codec import HEADS, Format
from worker.ports import Anchor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")

KIND = "export of an audit trail"
VERSION = 1
MOST_BYTES = 64 * 2**20
_MOST_MILESTONES = 32  # they halve in number whenever they are so many: a file of any length has 16 to 32


@dataclass(frozen=True, slots=True)
class Part:
    """What a file holds of one account's chain; `left_out` counts the events between the first and the last."""

    account: str
    events: int
    left_out: int
    first_sequence: int | None
    first_at: str | None
    previous_hash: str | None  # that the first event follows from
    last_sequence: int | None
    last_at: str | None
    last_hash: str | None
    head_sequence: int  # of the chain when it was exported
    head_hash: str

    @property
    def is_whole(self) -> bool:
        """Tell whether it is the chain from its beginning to its head."""
        return self.last_sequence == self.head_sequence == self.events or self.head_sequence == 0

    @property
    def after(self) -> Anchor:
        """Return the anchor that the first event follows from."""
        return Anchor((self.first_sequence or 1) - 1, self.previous_hash or "")

    @property
    def last(self) -> Anchor:
        """Return the anchor of the last event."""
        return Anchor(self.last_sequence or 0, self.last_hash or "")


@dataclass(frozen=True, slots=True)
class Milestone:
    """The digest of the file up to and with its n-th event."""

    events: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds, as it can be found out again from the file alone but for the heads."""

    events: int
    bytes: int
    sha256: str
    accounts: Sequence[Part]
    milestones: Sequence[Milestone]  # where links between neighbours leave gaps; else none


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is known of an export. Times are ISO 8601 in UTC."""

    program: str
    exported_at: str
    exported_by: str
    ledger: Mapping[str, str | None]
    format: Format
    filters: Mapping[str, str | None]
    contents: Contents

    @property
    def begins_at_the_first(self) -> bool:
        """Tell whether each account's first event must be in it."""
        return not self._filtered("from", "to", "symbol", "trade")

    @property
    def ends_at_the_head(self) -> bool:
        """Tell whether each account's last event must be in it."""
        return not self._filtered("to", "symbol", "trade")

    def _filtered(self, *by: str) -> bool:
        return any(self.filters.get(name) is not None for name in by)

    def to_bytes(self) -> bytes:
        """Return its file: JSON for people, with the checksum of everything above it as the last field."""
        told = {"kind": KIND, "manifest_version": VERSION, **asdict(self)}
        return _written(told | {"checksum": _checksum(told)})


class BrokenManifest(ValueError):
    """It does not hold; `line` is where, as far as that can be known."""

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


def read_manifest(text: bytes) -> Manifest:
    """Read a manifest's file; raises BrokenManifest unless it is to the byte what was written."""
    try:
        value = json.loads(text.decode("ascii"))
    except json.JSONDecodeError as error:
        raise BrokenManifest(f"it is no JSON: {error.msg}", error.lineno) from None
    except (ValueError, RecursionError):
        raise BrokenManifest("it is no JSON in ASCII") from None
    if not isinstance(value, dict) or value.get("kind") != KIND:
        raise BrokenManifest("it is not the manifest of an export")
    if text != _written(value):
        raise BrokenManifest("it is not written as an export writes it", _first_difference(text, _written(value)))
    checksum = value.pop("checksum", None)
    if checksum != _checksum(value):
        raise BrokenManifest("it was changed: its content does not match its own checksum")
    return _manifest(value)


class Tally:
    """Counts and hashes a file while it is written or read, an event at a time, in constant memory."""

    def __init__(self, form: Format) -> None:
        self.events = 0
        self.bytes = len(HEADS[form])
        self.milestones: list[Milestone] = []
        self._apart = 1
        self._digest = hashlib.sha256(HEADS[form])

    @property
    def sha256(self) -> str:
        """Return the digest of the file so far."""
        return self._digest.hexdigest()

    def take(self, text: bytes) -> None:
        """Count the line of the next event."""
        self.events += 1
        self.bytes += len(text)
        self._digest.update(text)
        if self.events % self._apart == 0:
            self._set_milestone()

    def _set_milestone(self) -> None:
        self.milestones.append(Milestone(self.events, self.sha256))
        if len(self.milestones) == _MOST_MILESTONES:
            self.milestones = self.milestones[1::2]
            self._apart *= 2


@dataclass
class Span:
    """Follows what a file holds of one account's chain."""

    account: str
    head: Anchor  # of the chain in the ledger
    events: int = 0
    _first: AuditRow | None = field(default=None, repr=False)
    _last: AuditRow | None = field(default=None, repr=False)

    def take(self, row: AuditRow) -> None:
        """Count the next event."""
        self.events += 1
        self._first = self._first or row
        self._last = row

    def part(self) -> Part:
        """Return what there was of it."""
        first, last = self._first, self._last
        return Part(
            account=self.account,
            events=self.events,
            left_out=last.sequence - first.sequence + 1 - self.events if first and last else 0,
            first_sequence=first.sequence if first else None,
            first_at=first.at if first else None,
            previous_hash=first.previous_hash if first else None,
            last_sequence=last.sequence if last else None,
            last_at=last.at if last else None,
            last_hash=last.hash if last else None,
            head_sequence=self.head.sequence,
            head_hash=self.head.hash,
        )


def contents(tally: Tally, parts: Sequence[Part]) -> Contents:
    """Return what was counted; milestones only where a gap asks for them."""
    has_gaps = any(part.left_out for part in parts)
    return Contents(tally.events, tally.bytes, tally.sha256, parts, tally.milestones if has_gaps else [])


def _manifest(value: dict[str, Any]) -> Manifest:
    if value.pop("manifest_version", None) != VERSION or value.pop("kind") != KIND:
        raise BrokenManifest("another version of this program made it: verify the export with that one")
    try:
        told = value.pop("contents")
        parts = [_record(Part, part) for part in told.pop("accounts")]
        milestones = [_record(Milestone, milestone) for milestone in told.pop("milestones")]
        held = _record(Contents, told | {"accounts": parts, "milestones": milestones})
        return _record(Manifest, value | {"contents": held, "format": Format(value["format"])})
    except (AttributeError, KeyError, TypeError, ValueError):
        raise BrokenManifest("it does not have the fields of a manifest") from None


_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "str": (str,),
    "int | None": (int, NoneType),
    "str | None": (str, NoneType),
    "Contents": (Contents,),
    "Format": (Format,),
    "Sequence[Part]": (list,),
    "Sequence[Milestone]": (list,),
    "Mapping[str, str | None]": (dict,),
}


def _record(kind: type[R], value: Mapping[str, Any]) -> R:
    """Make a record of what was read, whoever wrote it; raises TypeError for what does not fit."""
    for one in fields(kind):
        if type(value[one.name]) not in _TYPES[str(one.type)]:  # exactly: True is an int, too
            raise TypeError(one.name)
    return kind(**value)


def _written(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"


def _checksum(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(_written(value)).hexdigest()


def _first_difference(text: bytes, other: bytes) -> int:
    """Return the number of the first line in which two texts that differ do so."""
    lines = zip_longest(text.split(b"\n"), other.split(b"\n"))
    return next(number for number, (one, two) in enumerate(lines, 1) if one != two)
