"""A lane: the thread of one terminal session, which makes its calls in the order of their urgency."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar

from worker.domain.errors import TerminalUnavailable
from worker.domain.market import NotSentReason, OrderRequest, SendReport
from worker.mt5.session import TerminalSession

STUCK_SECONDS = 1.0  # a session that takes longer over one call may hang: questions are put to another
_WILL_LAST = frozenset({NotSentReason.TERMINAL, NotSentReason.WRONG_ACCOUNT})  # the next order would fare no better

Answer = TypeVar("Answer")


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
    """The thread of one session: takes the most urgent task, the oldest of those first."""

    def __init__(self, session: TerminalSession) -> None:
        self.session = session
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
    def problem(self) -> str | None:
        """Tell why an order would not be sent now, as far as that is known without asking; None when it would be."""
        return self._refused_because if self.session.is_ready() else str(self.session.unavailable())

    @property
    def is_at_hand(self) -> bool:
        """Tell whether a question would be answered soon: the session is ready and not stuck in a call."""
        since = self._busy_since
        return self.session.is_ready() and (since is None or time.monotonic() - since < STUCK_SECONDS)

    def put(self, urgency: Urgency, work: Callable[[], Answer]) -> Future[Answer]:
        """Queue work; its future can be cancelled until the work begins."""
        future: Future[Answer] = Future()
        with self._gate:
            if self._closed:
                future.set_exception(self._is_closed())
            else:
                self._tasks.put(_Task(urgency, next(self._numbers), work, future))
        return future

    def submit(self, order: OrderRequest) -> SendReport:
        """Send one order, and learn from it whether the next one could be sent."""
        report = self.session.submit(order)
        self._refused_because = report.detail if report.reason in _WILL_LAST else None
        return report

    def tend(self) -> None:
        """Ask the session how it stands, when nothing more urgent is to be done, and unless it is just being asked."""
        if self._tending is None or self._tending.done():
            self._tending = self.put(Urgency.QUESTION, self._learn)

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

    def _learn(self) -> None:
        self._refused_because = self._found_wrong()

    def _found_wrong(self) -> str | None:
        if not self.session.is_ready():
            return None  # it tells that by itself
        try:
            return self.session.standing().health.problem
        except TerminalUnavailable as error:
            return str(error)

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
