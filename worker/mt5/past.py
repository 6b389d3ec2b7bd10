"""
What the terminal has shown of an account's past, and what of it is new.

A look reads the rows of the newest seconds that it knows: whatever was just done is there. Before that it only asks how
many rows there are, and reads where there are more or fewer than have been seen: what happened long ago or at a high
rate costs one question, and a row that shows up late is found all the same. What is remembered are eight bytes a row,
for two hours.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Container, Iterator, Mapping, Sequence, Sized
from itertools import chain
from operator import attrgetter
from typing import Any, TypeAlias

from worker.mt5.link import Link

_AT_ONCE = 500  # rows: fewer are read in one go, of more it is first found out where the unseen ones are
_REMEMBERED = 7200  # seconds; longer than any look but the first goes back

TICKET = attrgetter("ticket")

Rows: TypeAlias = Sequence[Any]


class Seen:
    """Remembers tickets by the second (the server's) that they belong to."""

    def __init__(self) -> None:
        self._loose: dict[int, set[int]] = {}
        self._packed: dict[int, array[int]] = {}

    def add(self, second: int, ticket: int) -> bool:
        """Remember a ticket; True when it was not known."""
        if second not in self._loose:
            self._loose[second] = set(self._packed.pop(second, ()))
        tickets = self._loose[second]
        known = len(tickets)
        tickets.add(ticket)
        return len(tickets) > known

    def discard(self, second: int, ticket: int) -> None:
        """Forget a ticket that was just added."""
        self._loose[second].discard(ticket)

    def keep(self, begin: int, end: int, shown: Container[tuple[int, int]]) -> None:
        """Forget, from one second to before another, what is not shown any more: by second and ticket."""
        for second in [second for second in chain(self._loose, self._packed) if begin <= second < end]:
            known = self._loose.pop(second, None) or set(self._packed.pop(second, ()))
            self._loose[second] = {ticket for ticket in known if (second, ticket) in shown}

    def count(self, begin: int, end: int) -> int:
        """Return how many are known from one second to before another."""
        seconds: Sequence[int] = range(begin, end)
        if len(seconds) > len(self._loose) + len(self._packed):  # a first look may go back for months
            seconds = [second for second in chain(self._loose, self._packed) if second in seconds]
        known: tuple[Mapping[int, Sized], ...] = (self._loose, self._packed)
        return sum(len(tickets.get(second, ())) for tickets in known for second in seconds)

    def tidy(self, begin: int, near: int) -> None:
        """Pack what is older than `near`, to which little is added; forget what is older than `begin` and two hours."""
        settled = [second for second in self._loose if second < near]
        for second in settled:
            self._packed[second] = array("Q", self._loose.pop(second))
        oldest = min(begin, near - _REMEMBERED)
        for second in [second for second in self._packed if second < oldest] if settled else ():
            del self._packed[second]


class Shown:
    """Remembers how the last look showed each order or deal; `states` reads what may change of one."""

    def __init__(self, states: Callable[[Any], object]) -> None:
        self._states = states
        self._last: dict[int, object] = {}

    def changes(self, rows: Rows) -> list[tuple[Any, bool]]:
        """Return the rows that are not as the look before showed them, each with whether it showed them at all."""
        # Most looks show thousands of rows and nothing new: `map` and `dict` go through them without Python's own code.
        tickets, states = list(map(TICKET, rows)), list(map(self._states, rows))
        last, self._last = self._last, dict(zip(tickets, states, strict=True))
        if self._last == last:
            return []
        shown = zip(rows, tickets, states, strict=True)  # a row that two windows have shown is there twice
        changed = {ticket: row for row, ticket, state in shown if last.get(ticket) != state}
        return [(row, ticket in last) for ticket, row in changed.items()]

    def forget(self, ticket: int) -> None:
        """Forget one: the next look that shows it shows something new."""
        self._last.pop(ticket, None)


class Past:
    """
    One kind of history: the terminal's `orders` or `deals`, each with the time (seconds) that it belongs to.

    It is read again for as long as it may change: so many seconds `unsettled` before the newest row.
    """

    def __init__(
        self, link: Link, kind: str, moment: str, states: Callable[[Any], object], *, unsettled: int = 0
    ) -> None:
        self._link, self._unsettled = link, unsettled
        self._rows, self._total = f"history_{kind}_get", f"history_{kind}_total"
        self._moment = attrgetter(moment)
        self._seen, self._shown = Seen(), Shown(states)
        self._newest: int | None = None  # second of the newest row that the last look with any has shown

    def look(self, begin: int, end: int) -> Rows | None:
        """
        Return the rows of the newest seconds until `end` (the server's), and before that what may be new since `begin`.

        None when the terminal could not read them.
        """
        near = end if self._newest is None else min(max(begin, self._newest - self._unsettled), end)
        self._seen.tidy(begin, near)
        try:
            rows = [*self._unseen(begin, near), *self._read(near, end)]
        except _Unreadable:
            return None
        self._newest = max(map(self._moment, rows), default=self._newest)
        return rows

    def news(self, rows: Rows) -> Rows:
        """Return what is new of a look's rows: never seen, or not as the look before showed it."""
        changes = self._shown.changes(rows)
        return [row for row, was_shown in changes if self._seen.add(self._moment(row), row.ticket) or was_shown]

    def take_back(self, row: Any) -> None:
        """Let a row be news again at the next look."""
        self._seen.discard(self._moment(row), row.ticket)
        self._shown.forget(row.ticket)

    def _unseen(self, begin: int, end: int) -> Iterator[Any]:
        """Read where there are other rows than were seen, from one second to before another."""
        if begin >= end:
            return
        total = self._link.total(self._total, begin, end - 1)
        if total is None:
            raise _Unreadable
        if total == self._seen.count(begin, end):
            return
        if total <= _AT_ONCE or end - begin == 1:
            rows = self._read(begin, end - 1)
            # What has vanished, or moved, would be counted for ever in the place of a row that shows up late.
            self._seen.keep(begin, end, {(self._moment(row), row.ticket) for row in rows})
            yield from rows
        else:
            middle = (begin + end) // 2
            yield from self._unseen(begin, middle)
            yield from self._unseen(middle, end)

    def _read(self, begin: int, end: int) -> Rows:
        rows = self._link.rows(self._rows, begin, end)
        if rows is None:
            raise _Unreadable
        return rows


class _Unreadable(Exception):
    """The terminal did not answer, or not well."""
