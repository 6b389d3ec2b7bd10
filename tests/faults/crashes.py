"""
The worker of one account, ended at chosen points and started again, until its story has come to rest.

Every run has an account, a queue, a book and a worker of its own. Runs that follow one another may share a virtual
host; those at the same time share the database only, because any worker of a virtual host takes in its dead letters.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psycopg

from ops.services import Services
from tests.faults.story import SETTINGS, Story, ends
from tests.faults.verdict import Verdict, judge
from tests.fixtures.book import Book
from tests.fixtures.rpm import RPM
from tests.fixtures.services import new_ledger
from tests.fixtures.subscriber import Subscriber
from tests.fixtures.terminal import set_broker
from tests.fixtures.worker_process import WorkerProcess
from worker.messaging.connection import connected
from worker.messaging.declaration import declare
from worker.messaging.topology import approved_queue, topology
from worker.mt5.simulated import book as simulated

REST_SECONDS = 120.0
SETTLED_SECONDS = 1.5  # after a restart: more than a sweep, several polls
_GLANCE_SECONDS = 0.1
_KILLED = -signal.SIGKILL
_numbers = itertools.count(1)

_MINE = "account = %(account)s"
_OF_MINE = "execution_id in (select execution_id from ledger.executions where account = %(account)s)"
_LASTING = {
    "executions": _MINE,
    "attempts": _OF_MINE,
    "deals": _MINE,
    "confirmations": _MINE,
    "reply_addresses": _OF_MINE,
    "outbox": _MINE,
    "refusals": _MINE,
    "dead_letters": "desk = %(account)s",
    "replays": _MINE,
    "audit_events": f"{_MINE} and kind not in ('lease_taken', 'lease_released')",
}
"""All that a worker writes about trades. A start that finds nothing to do must leave every row as it was."""


@dataclass
class Lane:
    """What runs that follow one another share."""

    amqp_url: str
    postgres_url: str
    folder: Path
    rpm: RPM
    downstream: Subscriber
    replies: Subscriber


@contextmanager
def open_lanes(services: Services, name: str, count: int, folder: Path) -> Iterator[list[Lane]]:
    """Open so many lanes, each on a virtual host of its own, over one database."""
    postgres_url = new_ledger(services, name)
    with ExitStack() as opened:
        opened.callback(services.drop_database, name)
        yield [opened.enter_context(_lane(services, f"{name}_{n}", postgres_url, folder)) for n in range(count)]


@contextmanager
def _lane(services: Services, name: str, postgres_url: str, folder: Path) -> Iterator[Lane]:
    amqp_url = services.new_vhost(name)
    _declare(amqp_url, [])
    replies = Subscriber(amqp_url, exchange=None)
    try:
        with Subscriber(amqp_url) as downstream, replies, closing(RPM(amqp_url)) as rpm:
            yield Lane(amqp_url, postgres_url, folder, rpm, downstream, replies)
    finally:
        services.delete_vhost(name)


def _declare(amqp_url: str, accounts: Sequence[str]) -> None:
    async def declare_all() -> None:
        async with connected(amqp_url, "fault test") as connection:
            assert await declare(connection, topology(accounts)) == []

    asyncio.run(declare_all())


@dataclass(frozen=True)
class Life:
    """One start of the worker, and how it ended."""

    armed: str
    code: int
    passed: Counter[str]
    seconds: float  # until everything had come to rest, or until it was ended
    is_at_rest: bool

    @property
    def reached_its_end(self) -> bool:
        """Tell whether the armed point was passed as often as it takes."""
        name, _, at = self.armed.partition("=")[0].partition("@")
        return self.passed[name] >= int(at or 1)


@dataclass
class Run:
    """One account with its worker, from its first message until everything is judged."""

    lane: Lane
    account: str
    story: Story
    settings: dict[str, str]
    worker: WorkerProcess
    lives: list[Life] = field(default_factory=list)

    @classmethod
    def begin(cls, lane: Lane) -> Self:
        """Open an account that nobody has used: its queue, and a broker that knows it by a login of its own."""
        number = next(_numbers)
        account = f"crash{number}"
        folder = lane.folder / account
        folder.mkdir()
        book = folder / "book.sqlite"
        simulated.Book(book).close()
        set_broker(book, login=50_000_001 + number)
        _declare(lane.amqp_url, [account])
        settings = {
            **SETTINGS,
            "ACCOUNT": account,
            "AMQP_URL": lane.amqp_url,
            "POSTGRES_URL": lane.postgres_url,
            "MT5_SIMULATED_BOOK": str(book),
        }
        story = Story.of(account, lane.rpm, lane.downstream, lane.replies, lane.postgres_url)
        return cls(lane, account, story, settings, WorkerProcess(settings, folder))

    @property
    def log(self) -> str:
        """Everything that the worker said in all its lives."""
        return self.worker.log

    def live(self, armed: str = "") -> Life:
        """Start the worker and let the story go on until it is at rest, then stop it; or until it has ended before."""
        points = self.worker.folder / f"points-{len(self.lives)}.log"
        settings = {**self.settings, "FAILPOINTS": armed, "FAILPOINTS_LOG": str(points)}
        self.worker = WorkerProcess(settings, self.worker.folder)
        began = time.monotonic()
        self.worker.start()
        at_rest = self._go_on(began + REST_SECONDS)
        seconds = time.monotonic() - began
        code = self._end(at_rest=at_rest)
        life = Life(armed, code, _passed(points), seconds, at_rest)
        self.lives.append(life)
        return life

    def changes_of_another_start(self) -> list[str]:
        """Start and stop the worker once more; return every row that is not as it was, and every message that came."""
        before, told = self._lasting(), len(self.story.received())
        self.worker = WorkerProcess(self.settings, self.worker.folder)
        self.worker.start()
        at_rest = self._go_on(time.monotonic() + REST_SECONDS)
        time.sleep(SETTLED_SECONDS)  # what must not happen gives no event to wait for
        code = self._end(at_rest=at_rest)
        after = self._lasting()
        changed = [f"a second recovery has changed {row[:200]}" for row in sorted(before ^ after)]
        if len(self.story.received()) != told:
            changed.append(f"a second recovery has published {len(self.story.received()) - told} confirmations")
        return changed + ([f"started once more, it ended with {code}"] if code else [])

    def verdict(self) -> Verdict:
        """Judge all of it by its witnesses."""
        return judge(
            self.account,
            self.story.published,
            book=Book(Path(self.settings["MT5_SIMULATED_BOOK"])),
            received=self.lane.downstream.received,
            postgres_url=self.lane.postgres_url,
            ends=ends,
        )

    def close(self) -> None:
        """Leave nothing behind that runs or that anybody consumes."""
        self.worker.end()
        self.story.close()
        self.lane.rpm.do(lambda channel: channel.queue_delete(approved_queue(self.account)))

    def _go_on(self, deadline: float) -> bool:
        while self.worker.runs and time.monotonic() < deadline:
            if not self.story.goes_on() and self._consumes():
                return True
            time.sleep(_GLANCE_SECONDS)
        return False

    def _consumes(self) -> bool:
        return bool(self.lane.rpm.listeners(approved_queue(self.account)))

    def _end(self, *, at_rest: bool) -> int:
        if self.worker.runs and at_rest:
            self.worker.signal(signal.SIGTERM)
        elif self.worker.runs:
            self.worker.kill()
        return self.worker.wait()

    def _lasting(self) -> set[str]:
        with psycopg.connect(self.lane.postgres_url) as connection:
            return {
                f"{table} {row[0]}"
                for table, condition in _LASTING.items()
                for row in connection.execute(
                    f"select to_jsonb(found)::text from ledger.{table} found where {condition}".encode(),  # noqa: S608 - the names above
                    {"account": self.account},
                )
            }


def _passed(points: Path) -> Counter[str]:
    """Return how often each point was passed."""
    lines = points.read_text().splitlines() if points.exists() else []
    return Counter(line.split()[2] for line in lines)


@dataclass(frozen=True)
class Result:
    """A run that is over: where its worker was ended, how long it took to recover, and what is wrong."""

    points: tuple[str, ...]
    lives: tuple[Life, ...]
    verdict: Verdict
    problems: tuple[str, ...]  # beside those that the verdict sees
    log: str

    @property
    def is_clean(self) -> bool:
        """Whether nothing at all is wrong."""
        return self.verdict.is_clean and not self.problems

    @property
    def missed(self) -> tuple[str, ...]:
        """The points that were armed and not passed: then this run has shown nothing about them."""
        return tuple(life.armed for life in self.lives if life.armed and not life.reached_its_end)

    @property
    def recovery_seconds(self) -> float:
        """How long the last life took until all was at rest, its wait for the lease included."""
        return self.lives[-1].seconds

    def __str__(self) -> str:
        return "\n".join([f"ended at {', then at '.join(self.points)}", str(self.verdict), *self.problems])


def crash_at(lane: Lane, *armed: str, a_day_each: bool = False) -> Result:
    """
    End the worker at each of these points, in turn, and judge what has become of the trades.

    The next life recovers from the last one; with `a_day_each`, new trades wait for it as well.
    """
    run = Run.begin(lane)
    try:
        run.story.begin()
        for number, fault in enumerate(armed):
            if number and a_day_each:
                run.story.begin()
            run.live(fault)
        run.live()
        verdict, problems = run.verdict(), run.story.problems()
        problems += run.changes_of_another_start()
        if "Traceback" in run.log:
            problems.append("the log shows a traceback")
        return Result(armed, tuple(run.lives), verdict, tuple(problems), run.log)
    finally:
        run.close()
