"""
Whether a file of exported events still holds, found out from the file alone.

Each event's own hash shows a change in it. The link to the one before shows what was removed, added or moved, where the
one before is in the file. The manifest shows the rest: what was cut off at an end, or taken out of a selection that has
gaps anyway. Anchors in subscribers' hands show whether all of it was made anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from worker.ledger.audit import GENESIS, AuditRow, Chain, Witness, hash_of
from worker.ledger.exported.codec import HEADS, Entry, Format, Unreadable, read_entries
from worker.ledger.exported.manifest import Manifest, Part, Span, Tally
from worker.ports import Anchor

_PROGRESS = 1000  # events


class Coverage(StrEnum):
    """How much of the chains a file holds: the weakest of its accounts."""

    WHOLE = "whole"  # from the first event to the head when it was exported
    STRETCH = "stretch"  # from one event to another, without a gap
    SELECTION = "selection"  # with gaps


@dataclass(frozen=True, slots=True)
class Defect:
    """The first place that does not hold. Of an event that can be read there, also its account and sequence."""

    line: int
    problem: str
    account: str | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What a file turned out to be. `parts` and `events` tell what was read, up to the defect if there is one."""

    format: Format
    events: int
    sha256: str
    parts: Sequence[Part]
    coverage: Coverage
    manifest: Manifest | None
    witnesses: int  # subscribers' anchors that it agrees with
    elsewhere: int  # those of events that are not in the file
    defect: Defect | None


def verify_file(
    stream: BinaryIO,
    form: Format,
    manifest: Manifest | None,
    witnesses: Mapping[str, Sequence[Witness]],
    on_progress: Callable[[int], object] = lambda _bytes: None,
) -> FileVerdict:
    """Read a file to its end or to its first defect, an event at a time; progress is told in bytes."""
    reading = _Reading(form, manifest, witnesses)
    defect = None
    try:
        for entry in read_entries(stream, form):
            defect = reading.follow(entry)
            if defect is not None:
                break
            if reading.tally.events % _PROGRESS == 0:
                on_progress(reading.tally.bytes)
        defect = defect or reading.end()
    except Unreadable as error:
        defect = Defect(error.line, str(error))
    return reading.verdict(defect)


class _Wrong(Exception):
    """What is wrong with the event at hand, or with the end of an account."""


class _Reading:
    """Follows the accounts of a file one after the other, as the manifest names them or as they come."""

    def __init__(self, form: Format, manifest: Manifest | None, witnesses: Mapping[str, Sequence[Witness]]) -> None:
        self.tally = Tally(form)
        self._form, self._manifest, self._witnesses = form, manifest, witnesses
        self._expected = deque(manifest.contents.accounts if manifest else ())
        self._milestones = deque(manifest.contents.milestones if manifest else ())
        self._spans: list[Span] = []
        self._chain: Chain | None = None
        self._part: Part | None = None
        self._agreeing = 0
        self._line = self._sound = 2 if HEADS[form] else 1  # the next line; and the first one after a milestone

    def follow(self, entry: Entry) -> Defect | None:
        """Take the next event."""
        self.tally.take(entry.text)
        self._line = entry.line + entry.text.count(b"\n")
        try:
            self._hold_to_its_account(entry.row)
        except _Wrong as wrong:
            return Defect(entry.line, str(wrong), entry.row.account, entry.row.sequence)
        self._spans[-1].take(entry.row)
        return self._pass_milestone()

    def end(self) -> Defect | None:
        """Judge what the file lacks at its end."""
        try:
            self._leave()
            while self._expected:
                self._enter(self._expected.popleft())
                self._leave()
        except _Wrong as wrong:
            return Defect(self._line, str(wrong))
        if self._manifest is None:
            return None if self.tally.events else Defect(1, "the file is empty, and no manifest says that it should be")
        held = self._manifest.contents
        if (self.tally.events, self.tally.bytes, self.tally.sha256) != (held.events, held.bytes, held.sha256):
            return self._off_the_manifest()
        return None

    def verdict(self, defect: Defect | None) -> FileVerdict:
        """Sum up."""
        parts = [span.part() for span in self._spans]
        return FileVerdict(
            format=self._form,
            events=self.tally.events,
            sha256=self.tally.sha256,
            parts=parts,
            coverage=_coverage(parts, self._manifest),
            manifest=self._manifest,
            witnesses=self._agreeing,
            elsewhere=sum(map(len, self._witnesses.values())) - self._agreeing,
            defect=defect,
        )

    def _hold_to_its_account(self, row: AuditRow) -> None:
        if self._chain is None or self._chain.account != row.account:
            self._turn_to(row)
        if self._part is not None:
            _hold_to_the_ends(row, self._part, is_first=not self._spans[-1].events)
        fault = self._chain.follow(row) if self._chain else None
        if fault is not None:
            raise _Wrong(fault.problem)

    def _turn_to(self, row: AuditRow) -> None:
        """Leave the account that was followed, and those without an event, for that of this event."""
        if row.hash != hash_of(row):  # else a changed name would pass for another account
            raise _Wrong(f"event {row.sequence} was changed: its content does not match its hash")
        self._leave()
        if self._spans and row.account <= self._spans[-1].account:
            last = self._spans[-1].account
            raise _Wrong(f"event {row.sequence} of account {row.account} was moved: it comes after account {last}")
        if self._manifest is None:
            self._begin(row.account, GENESIS if row.sequence == 1 else row.before)
            return
        while self._expected:
            self._enter(self._expected.popleft())
            if self._chain is not None and self._chain.account == row.account:
                return
            self._leave()
        raise _Wrong(f"event {row.sequence} was added: the manifest has no account {row.account}")

    def _enter(self, part: Part) -> None:
        self._part = part
        if self._manifest is None or self._manifest.begins_at_the_first:
            self._begin(part.account, GENESIS)  # a gap in it is the ledger's own
        else:
            self._begin(part.account, part.after, with_gaps=part.left_out > 0)

    def _begin(self, account: str, after: Anchor, *, with_gaps: bool = False) -> None:
        self._chain = Chain(account, self._witnesses.get(account, ()), after, with_gaps=with_gaps)
        self._spans.append(Span(account, GENESIS))

    def _leave(self) -> None:
        """Judge whether the account ends where the manifest says so."""
        chain, part = self._chain, self._part
        self._chain = self._part = None
        if chain is None:
            return
        self._agreeing += len(self._witnesses.get(chain.account, ())) - chain.unheard
        fault = chain.end_at(part.last, "the manifest") if part and part.events else None
        if fault is None and part and self._manifest and self._manifest.ends_at_the_head:
            fault = chain.end_at(Anchor(part.head_sequence, part.head_hash), "the account's own row")
        if fault is not None:
            raise _Wrong(f"account {chain.account}: {fault.problem}")

    def _pass_milestone(self) -> Defect | None:
        if not self._milestones or self._milestones[0].events != self.tally.events:
            return None
        if self._milestones.popleft().sha256 != self.tally.sha256:
            return self._off_the_manifest()
        self._sound = self._line
        return None

    def _off_the_manifest(self) -> Defect:
        lines = f"in the lines {self._sound} to {max(self._sound, self._line - 1)}"
        return Defect(self._sound, f"something was changed, removed or added {lines}: the manifest's digest is another")


def _hold_to_the_ends(row: AuditRow, part: Part, *, is_first: bool) -> None:
    """Hold an event against the ends of its part: the chain alone does not know where they are."""
    first, last = part.first_sequence, part.last_sequence
    if first is None or last is None:
        raise _Wrong(f"event {row.sequence} was added: the manifest says that account {part.account} has none here")
    if is_first and row.sequence > first:
        raise _Wrong(f"event {first} is missing: the manifest says that it is the first one")
    if row.sequence < first:
        raise _Wrong(f"event {row.sequence} was added: the manifest says that event {first} is the first one")
    if row.sequence > last:
        raise _Wrong(f"event {row.sequence} was added: the manifest says that event {last} is the last one")


def _coverage(parts: Sequence[Part], manifest: Manifest | None) -> Coverage:
    if any(part.left_out for part in parts):
        return Coverage.SELECTION
    if manifest is not None and all(part.is_whole for part in manifest.contents.accounts):
        return Coverage.WHOLE
    return Coverage.STRETCH
