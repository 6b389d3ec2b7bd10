"""A lane: the thread of one terminal session, which sends orders and makes calls in the order of their urgency."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import structlog

from worker.domain.errors import TerminalUnavailable, WrongSetting
from worker.domain.market import (
    Health,
    NotSentReason,
    OrderRequest,
    Poll,
    PollRequest,
    Quote,
    QuoteRequest,
    SendReport,
)
from worker.mt5.account import OneAccount
from worker.mt5.agenda import Agenda, Send, Task, Urgency
from worker.mt5.dialogue import not_sent
from worker.mt5.mailbox import Mailbox, Reply
from worker.mt5.pace import Pace
from worker.mt5.session import TerminalSession

PATIENCE_SECONDS = 0.25  # a part of what the orders that are written ahead take: not all are sent before a quote
STUCK_SECONDS = 1.0  # a session that takes longer over one call may hang: questions are put to another
_WILL_LAST = frozenset({NotSentReason.TERMINAL, NotSentReason.WRONG_ACCOUNT})  # the next order would fare no better

Answer = TypeVar("Answer")
Quotes = Sequence[Quote | TerminalUnavailable]
# Over the standard library, so that an unconfigured program keeps its standard output to itself.
_log = structlog.wrap_logger(logging.getLogger(__name__))


class Lane:
    """
    The thread of one session: sends the orders that wait, several in one line, then does the most urgent task.

    Orders are sent in the order in which they were handed over, and before everything else but what is overdue: a
    backlog would else be sent to its end before the next orders of it could be quoted. Those of one line take a moment
    together, as far as can be told from the last ones; a slow terminal gets each alone.
    None of them depends on another: of one symbol the pipeline hands an order over when the one before it is answered.

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
        self._begun: Callable[[], None] | None = None  # the rest of what was asked at once
        self._tending: Reply[None] | None = None
        self._agenda = Agenda()
        self._pace = Pace()
        self._queued = threading.Condition()  # something is, or the lane is closed
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

    def put(
        self,
        urgency: Urgency,
        work: Callable[[], Answer],
        reply: Reply[Answer],
        patience: float = math.inf,
        at_once: Callable[[], Callable[[], Answer] | None] | None = None,
    ) -> Task:
        """
        Queue work for a session that takes part; it is not done when nobody wants the reply any more.

        After `patience` seconds it goes before the orders that wait. What can be asked `at_once` is asked here and now
        when the lane has nothing to do, and its thread does the rest.
        """
        task = Task(work, reply, time.monotonic() + patience)
        if self._apart_because is None:
            self._queue(urgency, task, at_once)
        else:
            reply.bring(TerminalUnavailable(f"terminal session {self.session.name}: {self.problem}"))
        return task

    def withdraw(self, task: Task) -> bool:
        """Take work back; False when it has begun, or is done."""
        with self._queued:
            return self._agenda.withdraw(task)

    def send(self, order: OrderRequest, reply: Reply[SendReport]) -> None:
        """Queue an order; it is not sent when nobody wants the reply any more before its line is made."""
        if self._apart_because is not None:
            reply.bring(not_sent(f"terminal session {self.session.name}: {self.problem}"))
            return
        with self._queued:
            if self._closed:
                reply.bring(not_sent(self._is_closed()))
            else:
                is_idle = self._is_idle
                self._agenda.add_send(Send(order, reply))
                if is_idle:
                    self._send_at_once()
                self._queued.notify()

    def quotes(self, requests: Sequence[QuoteRequest]) -> Quotes:
        """Ask for quotes, each with an answer of its own."""
        return self._learnt(self.session.quotes(requests))

    def _learnt(self, answers: Quotes) -> Quotes:
        quotes = [answer for answer in answers if isinstance(answer, Quote)]
        if quotes:
            self._learn_from(quotes[0].health)
        return answers

    def quotes_at_once(self, requests: Sequence[QuoteRequest]) -> Callable[[], Quotes] | None:
        """Ask for them without waiting for anything; what is returned waits for the answer. None: it was not asked."""
        wait = self.session.quotes_at_once(requests)
        return None if wait is None else lambda: self._learnt(wait())

    def as_sent_by(self, sending: Lane, quote: Quote) -> Quote:
        """
        Return this lane's quote for an order that another one would send.

        Whether that one may trade is for it to tell, as long as the prices of this one are those of the account.
        """
        if sending is self or not self.sees_account:
            return quote
        return replace(quote, health=replace(quote.health, problem=sending.problem))

    def poll(self, request: PollRequest) -> Poll:
        """Look once for all orders."""
        began = time.monotonic()
        poll = self.session.poll(request)
        if poll.health is not None:
            self._learn_from(poll.health)
        return replace(poll, took=time.monotonic() - began)

    def tend(self, mailbox: Mailbox) -> None:
        """Ask the session how it stands, when nothing more urgent is to be done, and unless it is just being asked."""
        if self._tending is None or not self._tending.is_wanted:
            self._tending = Reply(mailbox)
            self._tending.future.add_done_callback(asyncio.Future.exception)  # nobody awaits it
            self._queue(Urgency.QUESTION, Task(self._learn, self._tending, math.inf))

    def close(self) -> None:
        """Take nothing more, and end after what is at hand; what is queued fails."""
        with self._queued:
            self._closed = True
            self._queued.notify()

    def join(self, patience: float) -> None:
        """Wait at most `patience` seconds for the end of its thread."""
        self._thread.join(patience)

    def _run(self) -> None:
        while (work := self._next()) is not None:
            work()
        with self._queued:
            self._agenda.give_up(self._is_closed())

    @property
    def _is_idle(self) -> bool:
        """Tell whether nothing is being done, nor waits to be; the caller holds the condition."""
        return self._busy_since is None and self._agenda.is_empty

    def _next(self) -> Callable[[], None] | None:
        """Wait for what is to be done next; None when the lane is closed."""
        with self._queued:
            self._busy_since = None
            while (work := self._next_work()) is None and not self._closed:
                self._queued.wait()
        return work

    def _next_work(self) -> Callable[[], None] | None:
        """Return what is to be done now, and be busy with it."""
        work, self._begun = self._begun, None
        if work is None and not self._closed:
            if (task := self._agenda.next_task(overdue_by=time.monotonic())) is not None:
                work = task.perform
            elif sends := self._agenda.next_sends(self._pace.at_once):
                work = partial(self._bring_reports, sends, self.session.submit_all([send.order for send in sends]))
            elif (task := self._agenda.next_task()) is not None:
                work = task.perform
            if work is not None:
                self._busy_since = time.monotonic()
        return work

    def _begin(self, rest: Callable[[], None]) -> None:
        """Be busy with what was asked at once."""
        self._begun, self._busy_since = rest, time.monotonic()

    def _send_at_once(self) -> None:
        """Hand over what waits, in the thread of whoever brings it; the lane's own does it when that cannot be."""
        sends = self._agenda.next_sends(self._pace.at_once)
        reports = self.session.submit_at_once([send.order for send in sends])
        if reports is None:
            self._agenda.put_back(sends)
        else:
            self._begin(partial(self._bring_reports, sends, reports))

    def _bring_reports(self, sends: Sequence[Send], line: Iterable[Sequence[SendReport]]) -> None:
        """Let each have its report at once, and learn whether the next order could be sent."""
        left, began = deque(sends), self._busy_since or time.monotonic()
        try:
            for reports in line:
                self._busy_since = now = time.monotonic()
                self._pace.took(now - began, len(reports))
                began = now
                for report in reports:
                    self._refused_because = report.detail if report.reason in _WILL_LAST else None
                    left.popleft().reply.bring(report)
        except Exception as error:  # noqa: BLE001 - it belongs to those whose orders were not answered
            for send in left:
                send.reply.bring(error)

    def _queue(
        self, urgency: Urgency, task: Task, at_once: Callable[[], Callable[[], Any] | None] | None = None
    ) -> None:
        with self._queued:
            if self._closed:
                task.reply.bring(self._is_closed())
                return
            if at_once is not None and self._is_idle and (rest := at_once()) is not None:
                self._begin(replace(task, work=rest).perform)
            else:
                self._agenda.add_task(urgency, task)
            self._queued.notify()

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

    def _is_closed(self) -> TerminalUnavailable:
        return TerminalUnavailable(f"terminal session {self.session.name} has been closed")
