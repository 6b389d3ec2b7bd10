"""
What the terminal has shown of an account's past, and what of it is new.

A look at the last seconds reads every row: whatever was just done is there. Farther back a look only asks how many
rows there are, and reads where there are more than have been seen: an hour of many trades costs one question, and a
row that shows up late is found all the same. What is remembered are eight bytes a row, for two hours.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, TypeAlias

from worker.mt5.link import Link

SLICE = 10  # seconds
_AT_ONCE = 2000  # rows: fewer are read in one go, of more it is first found out where the unseen ones are
_REMEMBERED = 7200  # seconds; longer than any look but the first goes back

TICKET = attrgetter("ticket")

Rows: TypeAlias = Sequence[Any]


class Seen:
    """Remembers tickets by the slice of time (seconds, the server's) that they belong to."""

    def __init__(self) -> None:
        self._loose: dict[int, set[int]] = {}
        self._packed: dict[int, array[int]] = {}

    def add(self, second: int, ticket: int) -> bool:
        """Remember a ticket; True when it was not known."""
        number = second // SLICE
        if number not in self._loose:
            self._loose[number] = set(self._packed.pop(number, ()))
        tickets = self._loose[number]
        known = len(tickets)
        tickets.add(ticket)
        return len(tickets) > known

    def discard(self, second: int, ticket: int) -> None:
        """Forget a ticket that was just added."""
        self._loose[second // SLICE].discard(ticket)

    def count(self, begin: int, end: int) -> int:
        """Return how many are known from the slice of one second to before that of another."""
        numbers = range(begin // SLICE, end // SLICE)
        loose = sum(len(self._loose.get(number, ())) for number in numbers)
        return loose + sum(len(self._packed.get(number, ())) for number in numbers)

    def tidy(self, begin: int, near: int) -> None:
        """Pack what is older than `near`, to which little is added; forget what is older than `begin` and two hours."""
        for number in [number for number in self._loose if number < near // SLICE]:
            self._packed[number] = array("Q", self._loose.pop(number))
        oldest = min(begin, near - _REMEMBERED) // SLICE
        for number in [number for number in self._packed if number < oldest]:
            del self._packed[number]


class Shown:
    """Remembers how the last look showed each order or deal; `states` reads what may change of one."""

    def __init__(self, states: Callable[[Any], object]) -> None:
        self._states = states
        self._last: dict[int, object] = {}

    def changes(self, rows: Rows) -> list[tuple[Any, bool]]:
        """Return the rows that are not as the look before showed them, each with whether it showed them at all."""
        # Most looks show thousands of rows and nothing new: `map` and `dict` go through them without Python's own code.
        now = dict(zip(map(TICKET, rows), map(self._states, rows), strict=True))
        last, self._last = self._last, now
        if now == last:
            return []
        by_ticket = dict(zip(map(TICKET, rows), rows, strict=True))
        return [(by_ticket[ticket], ticket in last) for ticket, state in now.items() if last.get(ticket) != state]

    def forget(self, ticket: int) -> None:
        """Forget one: the next look that shows it shows something new."""
        self._last.pop(ticket, None)


class Past:
    """One kind of history: the terminal's `orders` or `deals`, each with the time (seconds) that it belongs to."""

    def __init__(self, link: Link, kind: str, moment: str, states: Callable[[Any], object]) -> None:
        self._link = link
        self._rows, self._total = f"history_{kind}_get", f"history_{kind}_total"
        self._moment = attrgetter(moment)
        self._seen, self._shown = Seen(), Shown(states)

    def look(self, begin: int, end: int, near: int) -> Rows | None:
        """
        Return all rows from `near` to `end` (seconds of the server), and before that what may be new since `begin`.

        None when the terminal could not read them.
        """
        near -= near % SLICE
        first = begin - begin % SLICE
        self._seen.tidy(first, near)
        try:
            return [*self._unseen(first, near), *self._read(max(begin, near), end)]
        except _Unreadable:
            return None

    def news(self, rows: Rows) -> Rows:
        """Return what is new of a look's rows: never seen, or not as the look before showed it."""
        changes = self._shown.changes(rows)
        return [row for row, was_shown in changes if self._seen.add(self._moment(row), row.ticket) or was_shown]

    def take_back(self, row: Any) -> None:
        """Let a row be news again at the next look."""
        self._seen.discard(self._moment(row), row.ticket)
        self._shown.forget(row.ticket)

    def _unseen(self, begin: int, end: int) -> Iterator[Any]:
        """Read where there are other rows than were seen, from the slice of one second to before that of another."""
        if begin >= end:
            return
        total = self._link.total(self._total, begin, end - 1)
        if total is None:
            raise _Unreadable
        if total == self._seen.count(begin, end):
            return
        if total <= _AT_ONCE or end - begin <= SLICE:
            yield from self._read(begin, end - 1)
        else:
            middle = begin + (end - begin) // (2 * SLICE) * SLICE
            yield from self._unseen(begin, middle)
            yield from self._unseen(middle, end)

    def _read(self, begin: int, end: int) -> Rows:
        rows = self._link.rows(self._rows, begin, end)
        if rows is None:
            raise _Unreadable
        return rows


class _Unreadable(Exception):
    """The terminal did not answer, or not well."""
