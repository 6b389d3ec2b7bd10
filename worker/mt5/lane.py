"""A lane: the thread of one terminal session, which makes its calls in the order of their urgency."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, TypeVar

import structlog

from worker.domain.errors import TerminalUnavailable, WrongSetting
from worker.domain.market import Health, NotSentReason, OrderRequest, Poll, PollRequest, Quote, QuoteRequest, SendReport
from worker.mt5.account import OneAccount
from worker.mt5.session import TerminalSession

STUCK_SECONDS = 1.0  # a session that takes longer over one call may hang: questions are put to another
_WILL_LAST = frozenset({NotSentReason.TERMINAL, NotSentReason.WRONG_ACCOUNT})  # the next order would fare no better

Answer = TypeVar("Answer")
# Over the standard library, so that an unconfigured program keeps its standard output to itself.
_log = structlog.wrap_logger(logging.getLogger(__name__))


class Urgency(IntEnum):
    """What goes first: an order has a deadline, a cancel is overdue; questions are asked in their order."""

    SUBMIT = 0
    CANCEL = 1
    QUESTION = 2
    END = 3


@dataclass(order=True, slots=True)
class _Task:
    urgency: Urgency
    number: int
    work: Callable[[], Any] = field(compare=False)
    future: Future[Any] = field(compare=False)


class Lane:
    """
    The thread of one session: takes the most urgent task, the oldest of those first.

    It takes part when its session has shown the account, and from then on learns from every answer how it stands.
    """

    def __init__(self, session: TerminalSession) -> None:
        self.session = session
        self.sees_account = True  # what it shows is the account's present state, as far as its last answer tells
        self._account: OneAccount | None = None
        self._apart_because: str | None = "its account has not been compared with the other sessions' yet"
        self._is_compared = False
        self._refused_because: str | None = None
        self._busy_since: float | None = None
        self._tending: Future[None] | None = None
        self._tasks: queue.PriorityQueue[_Task] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._gate = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"terminal-lane-{session.name}", daemon=True)
        self._thread.start()

    @property
    def takes_part(self) -> bool:
        """Tell whether its session has shown the account."""
        return self._apart_because is None

    @property
    def is_open(self) -> bool:
        """Tell whether its session takes part, and is ready."""
        return self.takes_part and self.session.is_ready()

    @property
    def problem(self) -> str | None:
        """Tell why an order would not be sent now, as far as that is known without asking; None when it would be."""
        if not self.session.is_ready():
            return str(self.session.unavailable())
        return self._apart_because or self._refused_because

    @property
    def is_at_hand(self) -> bool:
        """Tell whether a question would be answered soon: the session is ready and not stuck in a call."""
        since = self._busy_since
        is_stuck = since is not None and time.monotonic() - since >= STUCK_SECONDS
        return self.is_open and not is_stuck

    def expect(self, account: OneAccount, *, is_shown: bool) -> None:
        """Let it take part as soon as its session shows this account, at once if it has: never if it shows another."""
        self._account = account
        if is_shown:  # whether or not it is lost again by now
            self._apart_because, self._is_compared = None, True

    def put(self, urgency: Urgency, work: Callable[[], Answer]) -> Future[Answer]:
        """Queue work for a session that takes part; its future can be cancelled until the work begins."""
        if self._apart_because is None:
            return self._queue(urgency, work)
        refused: Future[Answer] = Future()
        refused.set_exception(TerminalUnavailable(f"terminal session {self.session.name}: {self.problem}"))
        return refused

    def submit(self, order: OrderRequest) -> SendReport:
        """Send one order, and learn from it whether the next one could be sent."""
        report = self.session.submit(order)
        self._refused_because = report.detail if report.reason in _WILL_LAST else None
        return report

    def quote(self, request: QuoteRequest, sending: Lane) -> Quote:
        """
        Quote what a lane would send.

        Whether that one may trade is for it to tell, as long as the prices of this one are those of the account.
        """
        quote = self.session.quote(request)
        self._learn_from(quote.health)
        if sending is self or not self.sees_account:
            return quote
        return replace(quote, health=replace(quote.health, problem=sending.problem))

    def poll(self, request: PollRequest) -> Poll:
        """Look once for all orders."""
        poll = self.session.poll(request)
        if poll.health is not None:
            self._learn_from(poll.health)
        return poll

    def tend(self) -> None:
        """Ask the session how it stands, when nothing more urgent is to be done, and unless it is just being asked."""
        if self._tending is None or self._tending.done():
            self._tending = self._queue(Urgency.QUESTION, self._learn)

    def close(self) -> None:
        """Take nothing more, fail what is queued, and end after the task at hand."""
        with self._gate:
            self._closed = True
            self._tasks.put(_Task(Urgency.END, next(self._numbers), lambda: None, Future()))

    def join(self, patience: float) -> None:
        """Wait at most `patience` seconds for the end of its thread."""
        self._thread.join(patience)

    def _run(self) -> None:
        while (task := self._tasks.get()).urgency is not Urgency.END:
            if task.future.set_running_or_notify_cancel():
                self._busy_since = time.monotonic()
                self._perform(task)
                self._busy_since = None

    def _queue(self, urgency: Urgency, work: Callable[[], Answer]) -> Future[Answer]:
        future: Future[Answer] = Future()
        with self._gate:
            if self._closed:
                future.set_exception(self._is_closed())
            else:
                self._tasks.put(_Task(urgency, next(self._numbers), work, future))
        return future

    def _learn(self) -> None:
        if not self.session.is_ready():
            return  # it tells that by itself
        self._compare()
        try:
            self._learn_from(self.session.standing().health)
        except TerminalUnavailable as error:
            self._refused_because, self.sees_account = str(error), False

    def _learn_from(self, health: Health) -> None:
        self._refused_because = health.problem
        self.sees_account = self._account is not None and self._account.is_seen_by(health)

    def _compare(self) -> None:
        """Compare once: a session that has shown one account shows no other ever after."""
        if self._account is None or self._is_compared or not self.session.is_ready():
            return
        try:
            self._account.insist_on(self.session.name, self.session.ready(0))
            self._apart_because = None
        except WrongSetting as error:
            self._apart_because = str(error)
            _log.error("terminal_of_another_account", alert=True, session=self.session.name, detail=str(error))
        except TerminalUnavailable:
            return  # lost in this very moment
        self._is_compared = True

    def _perform(self, task: _Task) -> None:
        if self._closed:
            task.future.set_exception(self._is_closed())
            return
        try:
            task.future.set_result(task.work())
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the future
            task.future.set_exception(error)

    def _is_closed(self) -> TerminalUnavailable:
        return TerminalUnavailable(f"terminal session {self.session.name} has been closed")
