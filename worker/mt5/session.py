"""A terminal session: one MetaTrader terminal behind one child process, which is replaced whenever it ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_random_exponential,
)

from worker import failpoints
from worker.domain.errors import TerminalUnavailable
from worker.domain.instrument import Instrument
from worker.domain.market import (
    CancelReport,
    Custody,
    Health,
    NotSentReason,
    OrderRequest,
    Poll,
    PollRequest,
    Quote,
    QuoteRequest,
    Search,
    SearchRequest,
    SendReport,
    SendStatus,
)
from worker.mt5 import wire
from worker.mt5.child import ChildProcess, NotDelivered, Unanswered
from worker.mt5.file_lock import TerminalInUse
from worker.mt5.symptoms import Symptoms
from worker.mt5.wire import (
    OPENING_SECONDS,
    CancelRequest,
    Command,
    Opening,
    OrderStory,
    Standing,
    TerminalUnreachable,
    VenueFacts,
)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0  # seconds between attempts to open the terminal

Request = TypeVar("Request")
Answer = TypeVar("Answer")
# Over the standard library, so that an unconfigured program keeps its standard output to itself.
_log = structlog.wrap_logger(logging.getLogger(__name__))


class TerminalSession:
    """
    Plain synchronous calls to one terminal, from any thread, one at a time.

    `with session.lock:` keeps the terminal for several calls in a row. A call that takes longer than
    `opening.call_timeout` seconds ends the child process. Another one is started in the background, with growing
    pauses; until it is ready every call raises TerminalUnavailable at once. Whoever waits for one session or any of
    several waits at `changed`.

    A terminal that hung over a call, or that cannot be connected to several times in a row, is restarted together with
    the child, if it is a process that can be told from all others: one with the path of its program. The account that
    it has shown first is the only one that it may show ever after.
    """

    def __init__(self, opening: Opening, changed: threading.Condition) -> None:
        self.lock = threading.RLock()
        self._opening = opening
        self._changed = changed
        self._closing = threading.Event()
        self._child: ChildProcess | None = None
        self._facts: VenueFacts | None = None
        self._problem = "it has not been started"
        self._openings = 0
        self._symptoms = Symptoms(can_restart=opening.can_restart)
        self._custody: Custody | None = None
        self._supervisor: threading.Thread | None = None

    @property
    def name(self) -> str:
        """Return the session's name."""
        return self._opening.session

    @property
    def sender(self) -> str:
        """Return the terminal's name."""
        return self._opening.sender

    @property
    def custody(self) -> Mapping[str, Custody]:
        """Return what the terminal may still hold, by its name, as it was last told; nothing before the first time."""
        return {} if self._custody is None else {self.sender: self._custody}

    def start(self) -> None:
        """Begin to open the terminal in the background; a second call does nothing."""
        with self._changed:
            if self._supervisor is not None or self._closing.is_set():
                return
            self._problem = "it is being opened"
            name = f"terminal-session-{self.name}"
            self._supervisor = threading.Thread(target=self._supervise, name=name, daemon=True)
            self._supervisor.start()

    def ready(self, timeout: float) -> VenueFacts:
        """Wait until the terminal is open and return where its orders go; raises TerminalUnavailable after that."""
        with self._changed:
            self._changed.wait_for(lambda: self._facts is not None or self._closing.is_set(), timeout)
            if self._facts is None:
                raise self.unavailable()
            return self._facts

    def is_ready(self) -> bool:
        """Tell whether a call would reach the terminal now."""
        return self._facts is not None

    def unavailable(self) -> TerminalUnavailable:
        """Return the error that says why a call cannot be made now."""
        return NotDelivered(f"terminal session {self.name} is not available: {self._problem}")

    def quote(self, request: QuoteRequest) -> Quote:
        """Ask for all that the checks of one trade need. Raises TerminalUnavailable."""
        return self.call(wire.QUOTE, request)

    def submit(self, order: OrderRequest) -> SendReport:
        """Send one order; whatever happens is in the report."""
        try:
            return self.call(wire.SUBMIT, order)
        except Unanswered as error:
            return SendReport(SendStatus.NO_ANSWER, detail=str(error), answered_at=error.ended_at)
        except wire.Defect as error:
            return SendReport(SendStatus.NO_ANSWER, detail=str(error), answered_at=datetime.now(UTC))
        except TerminalUnavailable as error:
            return SendReport(SendStatus.NOT_SENT, NotSentReason.TERMINAL, detail=str(error))

    def poll(self, request: PollRequest) -> Poll:
        """Look once for the news of all orders. Raises TerminalUnavailable."""
        return self.call(wire.POLL, request)

    def search(self, request: SearchRequest) -> Search:
        """Look for tokens in everything the terminal knows. Raises TerminalUnavailable."""
        return self.call(wire.SEARCH, request)

    def cancel(self, ticket: int, symbol: str) -> CancelReport:
        """Ask for an order's cancellation; raises TerminalUnavailable when the request certainly did not leave."""
        try:
            return self.call(wire.CANCEL, CancelRequest(ticket, symbol))
        except (Unanswered, wire.Defect) as error:
            return CancelReport(None, None, str(error))

    def health(self) -> Health:
        """Ask whether an order could be sent now. Raises TerminalUnavailable."""
        return self.call(wire.HEALTH, None)

    def standing(self) -> Standing:
        """Ask how it stands, and take note of what its terminal may still hold. Raises TerminalUnavailable."""
        standing = self.call(wire.STANDING, None)
        self._custody = standing.custody
        return standing

    def instruments(self, symbols: tuple[str, ...] = ()) -> tuple[Instrument, ...]:
        """Ask for instruments; all that the terminal shows when none are named. Raises TerminalUnavailable."""
        return self.call(wire.INSTRUMENTS, symbols)

    def order(self, ticket: int) -> OrderStory | None:
        """Ask for one order and its deals. Raises TerminalUnavailable."""
        return self.call(wire.ORDER, ticket)

    def call(self, command: Command[Request, Answer], request: Request) -> Answer:
        """Send a command to the child process and return its answer."""
        with self.lock:
            child = self._child
            if child is None or self._facts is None:
                raise self.unavailable()
            try:
                answer = command.read_answer(child.call(command.ask(request), self._opening.call_timeout))
            except (NotDelivered, Unanswered) as error:
                self._lose(child, str(error))
                raise
            except TerminalUnreachable as error:
                self._not_reached(child, error)
                raise
            self._symptoms.answered()
            return answer

    def report(self) -> Mapping[str, Any]:
        """Return what an operator wants to know of it."""
        with self._changed:
            child, facts = self._child, self._facts
            return {
                "session": self.name,
                "state": "closed" if self._closing.is_set() else "ready" if facts else "opening",
                "problem": None if facts else self._problem,
                "pid": None if child is None else child.pid,
                "restarts": max(0, self._openings - 1),
                "terminal_restarts": self._symptoms.restarts,
                "login": None if facts is None else facts.venue.login,
                "server": None if facts is None else facts.venue.server,
            }

    def retire(self) -> None:
        """Take no more calls; the one under way goes on."""
        with self._changed:
            self._closing.set()
            self._facts, self._problem = None, "it has been closed"
            self._changed.notify_all()

    def close(self, patience: float = 5.0) -> None:
        """End the child process: it may finish what it is doing within `patience` seconds, then it is killed."""
        self.retire()
        give_up_at = time.monotonic() + patience
        idle = self.lock.acquire(timeout=patience)
        with self._changed:
            child = self._child
        if child is not None:
            child.end(max(0.0, give_up_at - time.monotonic()))
        if idle:
            self.lock.release()
        if self._supervisor is not None:
            self._supervisor.join(patience)

    def _supervise(self) -> None:
        opening = Retrying(
            retry=retry_if_exception_type(TerminalUnavailable),
            wait=wait_random_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
            stop=stop_when_event_set(self._closing),
            sleep=sleep_using_event(self._closing),
            before_sleep=self._tell_of_failure,
            reraise=True,
        )
        while not self._closing.is_set():
            try:
                child = opening(self._open)
            except TerminalUnavailable:
                return  # closing
            child.wait()
            if child.hung:
                self._symptoms.hung()
            self._lose(child, child.epitaph())
            child.release()

    def _open(self) -> ChildProcess:
        child = self._spawn()
        try:
            facts = self._opened(child)
        except TerminalUnavailable as error:
            if child.hung:
                self._symptoms.hung()
            if isinstance(error, TerminalUnreachable):
                self._symptoms.not_reached()
            child.kill(str(error))
            child.release()
            self._lose(child, str(error))
            raise TerminalUnavailable(str(error)) from error
        self._announce(facts)
        return child

    def _opened(self, child: ChildProcess) -> VenueFacts:
        """Have the child open the terminal: at once when it is free, however long another process may use it."""
        opening = wire.OPEN.ask(self._armed_opening())
        while True:
            try:
                return wire.OPEN.read_answer(child.call(opening, OPENING_SECONDS))
            except TerminalInUse as error:
                self._wait_for_terminal(str(error))

    def _wait_for_terminal(self, problem: str) -> None:
        if problem != self._problem and not self._closing.is_set():
            self._problem = problem
            _log.warning("terminal in use, waiting for it", session=self.name, problem=problem)

    def _armed_opening(self) -> Opening:
        faults, log = failpoints.hand_down()
        restart = self._symptoms.restart()
        if restart:
            _log.warning("terminal hangs, restarting it", session=self.name, terminal=self._opening.terminal)
        return replace(self._opening, failpoints=faults, failpoints_log=log, restart=restart)

    def _not_reached(self, child: ChildProcess, error: TerminalUnreachable) -> None:
        """Take a failed reconnection into account; a terminal is restarted together with its session."""
        self._symptoms.not_reached()
        if self._symptoms.are_enough:
            child.kill(str(error))
            self._lose(child, str(error))

    def _spawn(self) -> ChildProcess:
        with self._changed:
            if self._closing.is_set():
                raise self.unavailable()
            try:
                self._child = ChildProcess()
            except OSError as error:
                self._problem = f"its process cannot be started: {error}"
                raise TerminalUnavailable(self._problem) from error
            return self._child

    def _announce(self, facts: VenueFacts) -> None:
        with self._changed:
            self._openings += 1
            self._symptoms.answered()
            self._custody = facts.custody
            self._opening = replace(self._opening, account=(facts.venue.login, facts.venue.server))
            if not self._closing.is_set():
                self._facts = facts
            self._changed.notify_all()
        _log.info("terminal session ready", session=self.name, login=facts.venue.login, server=facts.venue.server)

    def _lose(self, child: ChildProcess, problem: str) -> None:
        with self._changed:
            if self._child is not child:
                return  # told already: by the call that found out first, or by the supervisor
            self._child = self._facts = None
            if self._closing.is_set():
                return
            self._problem = problem
        if self._openings:
            _log.warning("terminal session lost, opening another", session=self.name, problem=problem)

    def _tell_of_failure(self, attempt: RetryCallState) -> None:
        pause = attempt.next_action.sleep if attempt.next_action else 0
        _log.warning("terminal cannot be opened", session=self.name, problem=self._problem, next_try_in=round(pause, 1))
