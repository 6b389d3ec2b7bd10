"""
One transaction of the group commit.

As a rule it takes one round trip: what its jobs have to know is foreseen, the database only confirms it. What cannot be
foreseen, or turns out otherwise, takes two: one that locks and asks, one that writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg

from worker import failpoints
from worker.domain.errors import LeaseLost
from worker.ledger.connection import Connection
from worker.ledger.foresight import Foresight
from worker.ledger.job import Job
from worker.ledger.page import Page
from worker.ledger.round_trip import BEGIN, COMMIT, ROLLBACK, Answers, Call, round_trip
from worker.ledger.tenure import Tenure
from worker.ledger.tray import Mail
from worker.ledger.view import Question, View, read_view, take_answers
from worker.ports import Clock

T = TypeVar("T")

MAX_BATCH_BYTES = 1024 * 1024  # of bodies; each is copied several times on its way, so huge ones go one by one
HEAVY_SECONDS = 90.0  # for one with bodies beyond that; longer than `allow_time` gives its statements

_ALLOW_TIME: Call = ("allow_time", {})


@dataclass(slots=True)
class Batch:
    """One transaction. `results` are those of the last run; they hold once that run is known to be committed."""

    jobs: Sequence[Job[Any]]
    tenure: Tenure
    foresight: Foresight
    clock: Clock
    id: UUID = field(default_factory=uuid4)
    results: list[object] = field(default_factory=list)
    mail: Mail | None = None  # as far as it is known
    may_be_committed: bool = False

    async def commit(self, connection: Connection) -> None:
        """Run once, unless an earlier run whose answer was lost turns out to be committed."""
        self.mail = None
        if self.may_be_committed and await self._is_committed(connection):
            return
        self.foresight.use(connection)
        question = self._question()
        failpoints.hit("ledger.commit.before", *self._kinds())
        if not await self._commit_as_foreseen(connection, question):
            await self._commit_as_found(connection, question)
        failpoints.hit("ledger.commit.after", *self._kinds())

    @property
    def is_heavy(self) -> bool:
        """Tell whether the bodies are so large that they need more time than others."""
        return sum(job.weight for job in self.jobs) > MAX_BATCH_BYTES

    def _question(self) -> Question:
        question = Question()
        for job in self.jobs:
            job.ask(question)
        return question

    async def _commit_as_foreseen(self, connection: Connection, question: Question) -> bool:
        """Write in one round trip; False when that cannot be done, and nothing of it is written."""
        question.counters = self.foresight.counters_to_take(question)
        view = None if self.is_heavy else self.foresight.view(question)
        if view is None:
            return False
        page = self._decide(view)
        opening, writes = [BEGIN, *self.foresight.calls(question, page.head, self.id)], page.rows()
        if not connection.has_prepared(name for name, _ in writes):  # preparing takes locks, before the account's
            return False
        try:
            answers = await self._write(connection, [*opening, *writes])
        except psycopg.DatabaseError as error:
            self.foresight.forget()
            if isinstance(error, psycopg.OperationalError):
                raise
            await round_trip(connection, [ROLLBACK])
            self.may_be_committed = False
            return False
        take_answers(view, opening, answers)
        self._learn(view, page)
        self.mail = page.mail(writes, answers[len(opening) :])
        return True

    async def _commit_as_found(self, connection: Connection, question: Question) -> None:
        """Look first, in a round trip of its own."""
        question.counters = self.foresight.counters_to_take(question)
        view = await self._begin(connection, question)
        page = self._decide(view)
        writes = page.calls(self.id)
        answers = await self._write(connection, writes)
        self._learn(view, page)
        self.mail = page.mail(writes, answers)

    async def _begin(self, connection: Connection, question: Question) -> View:
        """Lock the account and learn what the jobs ask; raises LeaseLost, and holds no lock then."""
        opening = [BEGIN, _ALLOW_TIME] if self.is_heavy else [BEGIN]
        view = await read_view(connection, self.tenure.account, question, opening)
        try:
            if view is None:
                raise self.tenure.lost()
            self.foresight.compare(self.tenure.see(view.account))
        except LeaseLost:
            await round_trip(connection, [ROLLBACK])
            raise
        view.counters[:0] = self.foresight.take_counters()
        return view

    def _decide(self, view: View) -> Page:
        """Return what the jobs' decisions write."""
        page = Page(view.account.account, view.account.head, self.clock)
        if not self.tenure.has_written:
            page.append(self.tenure.beginning())
        self.results = [_decide(job, view, page) for job in self.jobs]
        self.tenure.learn(view)
        return page

    async def _write(self, connection: Connection, calls: Sequence[Call]) -> Answers:
        self.may_be_committed = True
        if not failpoints.is_armed():  # else the COMMIT leaves by itself
            return await round_trip(connection, [*calls, COMMIT])
        answers = await round_trip(connection, calls)
        failpoints.hit("ledger.commit.within", *self._kinds())
        await round_trip(connection, [COMMIT])
        return answers

    def _learn(self, view: View, page: Page) -> None:
        self.foresight.learn(view, replace(view.account, head=page.head), self.id)

    def _kinds(self) -> list[str]:
        return [kind for job in self.jobs for kind in job.kinds] if failpoints.is_armed() else []

    async def _is_committed(self, connection: Connection) -> bool:
        """Tell whether it is; if not, see to it that it never will be: it may still be on its way to PostgreSQL."""
        values = {"account": self.tenure.account, "batch": self.id}
        [rows] = await round_trip(connection, [("read_back_batch", values)])
        return any(row["last_batch"] == self.id for row in rows)


def _decide(job: Job[T], view: View, page: Page) -> T | Exception:
    """Return the job's answer, or what it raised: then nothing of it is on the page."""
    sub_page = page.sub_page()
    try:
        result = job.decide(view, sub_page)
    except Exception as error:  # noqa: BLE001 - the error is the job's answer
        return error
    page.adopt(sub_page)
    return result
