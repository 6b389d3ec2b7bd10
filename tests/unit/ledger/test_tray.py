"""
Mail between a worker's commits and its relay: in the order of commit, all of it, and nothing twice.

Whatever Hypothesis makes of it: others write too, answers are lost, looks are under way while commits go on, RabbitMQ
goes away with what it was given, and there is more than a tray holds.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.fixtures.outbox import confirmation
from worker.ledger import tray
from worker.ledger.tray import Mail, Tray
from worker.ports import Anchor, OutboxRow

SOME = st.integers(0, 3)
LIMITS = st.integers(1, 4)


class Mailing(RuleBasedStateMachine):
    """The ledger is a list, the chain a number; the relay asks, publishes, marks."""

    def __init__(self) -> None:
        super().__init__()
        self.tray = Tray()
        self.ledger: dict[int, OutboxRow] = {}
        self.chain = 0
        self.ids = itertools.count(1)
        self.unheard: deque[Mail | None] = deque()  # commits whose answers are on their way to the worker
        self.in_hand: set[int] = set()  # of the relay: published and not marked, or postponed
        self.besides: set[int] = set()  # what was in hand when it asked
        self.given: set[int] = set()  # and not yet in hand
        self.looking: list[OutboxRow] | None = None
        self.looks_at_all = False

    # Commits, of the worker and of others, and when it hears of its own.

    @rule(number=SOME, is_known=st.integers(0, 9))
    def commit(self, number: int, is_known: int) -> None:
        after, rows = Anchor(self.chain, ""), self.write(number)
        self.unheard.append(Mail(after, Anchor(self.chain, ""), rows) if is_known else None)

    @rule(number=st.integers(1, 3))
    def somebody_else_commits(self, number: int) -> None:
        self.write(number)

    @precondition(lambda self: self.unheard)
    @rule()
    def hear(self) -> None:
        self.tray.put(self.unheard.popleft())

    def write(self, number: int) -> Sequence[OutboxRow]:
        self.chain += 1
        rows = [OutboxRow(next(self.ids), confirmation(1)) for _ in range(number)]
        self.ledger |= {row.id: row for row in rows}
        return rows

    # The relay asks; a look takes its time.

    @precondition(lambda self: self.looking is None and not self.given)
    @rule(limit=LIMITS)
    def ask(self, limit: int) -> None:
        self.besides = set(self.in_hand)
        rows = self.tray.take(limit, self.besides)
        if rows:
            self.give(rows)
        else:
            self.tray.begin_look(self.besides)
            self.looking = []

    @precondition(lambda self: self.looking == [])
    @rule(limit=LIMITS)
    def see(self, limit: int) -> None:
        waiting = [row for row in self.ledger.values() if row.id not in self.besides]
        self.looking, self.looks_at_all = waiting[:limit], len(waiting) < limit
        if not self.looking:
            self.end_look()

    @precondition(lambda self: self.looking)
    @rule()
    def end_look(self) -> None:
        assert self.looking is not None
        self.tray.end_look(self.looking, is_all=self.looks_at_all)
        self.give(self.looking)
        self.looking = None

    @precondition(lambda self: self.looking is not None)
    @rule()
    def look_in_vain(self) -> None:
        self.tray.doubt()
        self.looking = None

    @precondition(lambda self: self.looking is None and not self.given)
    @rule()
    def relay_all(self) -> None:
        while True:
            self.ask(3)
            if self.looking == []:
                self.see(3)
            if self.looking:
                self.end_look()
            if not self.given:
                return
            self.publish_or_postpone()

    def give(self, rows: Sequence[OutboxRow]) -> None:
        ids = [row.id for row in rows]
        assert not self.besides.intersection(ids)
        assert ids == sorted(ids)
        assert not ids or all(before in self.besides.union(ids) for before in self.ledger if before < ids[-1])
        self.given.update(ids)

    # What becomes of what it was given.

    @rule()
    def publish_or_postpone(self) -> None:
        self.in_hand |= self.given
        self.given.clear()

    @rule()
    def lose_the_connection(self) -> None:
        self.given.clear()

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def mark(self, data: st.DataObject) -> None:
        ids = data.draw(st.sets(st.sampled_from(sorted(self.in_hand))))
        for one in ids:
            del self.ledger[one]
        self.tray.forget(ids)
        self.in_hand -= ids

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def come_due_again(self, data: st.DataObject) -> None:
        self.in_hand.discard(data.draw(st.sampled_from(sorted(self.in_hand))))

    def teardown(self) -> None:
        """Let everything come to rest: then all of it has been given."""
        if self.looking is not None:
            self.look_in_vain()
        self.publish_or_postpone()
        while self.unheard:
            self.hear()
        self.relay_all()
        assert self.ledger.keys() == self.in_hand


@pytest.fixture(autouse=True)
def _a_small_tray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tray, "MOST_ROWS", 6)


TestMailing = Mailing.TestCase
TestMailing.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def mail(*numbers: int, body: bytes = b"{}") -> Mail:
    """Return what a commit has queued whose number in the chain is that of its last message."""
    rows = [OutboxRow(number, confirmation(number, body=body)) for number in numbers]
    return Mail(Anchor(numbers[0] - 1, ""), Anchor(numbers[-1], ""), rows)


def a_tray_that_has_looked() -> Tray:
    fresh = Tray()
    fresh.put(mail(1))
    fresh.begin_look(())
    fresh.end_look(mail(1).rows, is_all=True)
    fresh.forget([1])
    return fresh


def test_what_follows_a_look_is_given_as_it_came() -> None:
    mails = a_tray_that_has_looked()
    mails.put(mail(2, 3))
    mails.put(mail(4))

    assert [row.id for row in mails.take(2, ())] == [2, 3]
    assert [row.id for row in mails.take(2, {2, 3})] == [4]
    assert mails.has_told_all


def test_what_somebody_else_has_written_in_between_asks_for_a_look() -> None:
    mails = a_tray_that_has_looked()
    mails.put(mail(2))
    mails.put(mail(4))

    assert mails.take(10, ()) == []
    assert not mails.has_told_all


def test_more_than_a_tray_holds_is_left_to_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tray, "MOST_BYTES", 100)
    mails = a_tray_that_has_looked()
    mails.put(mail(2, body=b"x" * 60))
    assert [row.id for row in mails.take(10, ())] == [2]
    mails.forget([2])

    for number in (3, 4):
        mails.put(mail(number, body=b"x" * 60))
    mails.put(mail(5))

    assert mails.take(10, ()) == []
