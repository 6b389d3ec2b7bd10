"""What this worker's own commits have put into the outbox: it need not be read back to be published."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from worker.ports import Anchor, OutboxRow

MOST_ROWS = 2000
MOST_BYTES = 8 * 1024 * 1024  # of bodies


@dataclass(frozen=True, slots=True)
class Mail:
    """What one commit has put into the outbox, and the head of the account's chain before and after it."""

    after: Anchor
    head: Anchor
    rows: Sequence[OutboxRow]


class Tray:
    """
    Holds the mail of commits until it is given out, as long as it is certain that the ledger holds nothing else.

    Whoever else puts anything into an account's outbox appends to the account's chain. So nothing lies between two
    commits of which one begins with the head that the other has left, and where that is not so, the ledger has to be
    looked at. So it has for whatever was given out and comes again, and for more than this can hold.
    """

    def __init__(self) -> None:
        self._head: Anchor | None = None
        self._rows: deque[OutboxRow] = deque()
        self._bytes = 0
        self._given: set[int] = set()  # and not yet published for certain
        self._last = 0  # the highest id that was given
        self._is_all = False

    @property
    def has_told_all(self) -> bool:
        """Tell whether nothing is left to be given, here or in the ledger."""
        return self._is_all and not self._rows

    def put(self, mail: Mail | None) -> None:
        """Take the mail of the next commit; None when it is not known what that has written."""
        follows = mail is not None and mail.after == self._head
        self._head = None if mail is None else mail.head
        if not follows:
            self.doubt()
        elif mail is not None and self._is_all:
            self._hold([row for row in mail.rows if row.id > self._last])  # a look may have seen them before

    def take(self, limit: int, besides: Collection[int]) -> Sequence[OutboxRow]:
        """Return the next ones, at most `limit`; none when a look is needed, for some that are not among `besides`."""
        if not self._is_all or not self._given.issubset(besides):
            return []
        rows = [self._rows.popleft() for _ in range(min(limit, len(self._rows)))]
        self._bytes -= _bytes_of(rows)
        self._give(rows)
        return rows

    def begin_look(self, besides: Collection[int]) -> None:
        """Hold only what is put from now on: a look into the ledger shows all before it, but for these."""
        self._clear()
        self._given = set(besides)
        self._is_all = True

    def end_look(self, rows: Sequence[OutboxRow], *, is_all: bool) -> None:
        """Take note of what the look has shown; some of it was perhaps put here meanwhile."""
        self._give(rows)
        if not is_all:
            self.doubt()
        while self._rows and self._rows[0].id <= self._last:
            self._bytes -= _bytes_of([self._rows.popleft()])

    def doubt(self) -> None:
        """Hold nothing until the next look: the ledger may hold more."""
        self._clear()
        self._is_all = False

    def forget(self, ids: Iterable[int]) -> None:
        """Take note that these are gone for good."""
        self._given.difference_update(ids)

    def _give(self, rows: Sequence[OutboxRow]) -> None:
        self._given.update(row.id for row in rows)
        self._last = max(self._last, rows[-1].id) if rows else self._last

    def _hold(self, rows: Sequence[OutboxRow]) -> None:
        self._rows.extend(rows)
        self._bytes += _bytes_of(rows)
        if len(self._rows) > MOST_ROWS or self._bytes > MOST_BYTES:
            self.doubt()

    def _clear(self) -> None:
        self._rows.clear()
        self._bytes = 0


def _bytes_of(rows: Iterable[OutboxRow]) -> int:
    return sum(len(row.message.body) for row in rows)
