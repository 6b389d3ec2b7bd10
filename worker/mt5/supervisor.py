"""A session's supervisor: keeps one child process at work with the terminal, and starts another when that has ended."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

import structlog
from tenacity import RetryCallState, Retrying, sleep_using_event, stop_when_event_set, wait_random_exponential

from worker import failpoints
from worker.domain.errors import TerminalUnavailable
from worker.domain.market import Custody
from worker.mt5 import wire
from worker.mt5.child import ChildProcess, NotDelivered
from worker.mt5.file_lock import TerminalInUse
from worker.mt5.symptoms import Symptoms
from worker.mt5.wire import OPENING_SECONDS, Opening, TerminalUnreachable, VenueFacts

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0  # seconds between attempts to open the terminal

# Over the standard library, so that an unconfigured program keeps its standard output to itself.
_log = structlog.wrap_logger(logging.getLogger(__name__))


class Supervisor:
    """
    Opens a terminal by a child process in the background, again and again with growing pauses, until it is closed.

    A terminal whose symptoms are enough is restarted together with the child. The account that it has shown first is
    the only one that it may show ever after. Whoever waits for it waits at `changed`, which sessions share: nothing
    slow is done under it.
    """

    def __init__(self, opening: Opening, changed: threading.Condition) -> None:
        self.child: ChildProcess | None = None
        self.facts: VenueFacts | None = None  # while the terminal is open
        self.problem = "it has not been started"
        self.openings = 0
        self.symptoms = Symptoms(can_restart=opening.can_restart)
        self._opening = opening
        self._changed = changed
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> str:
        """Return `closed`, `ready` or `opening`."""
        return "closed" if self._closing.is_set() else "ready" if self.facts else "opening"

    def start(self) -> None:
        """Begin to open the terminal; a second call does nothing."""
        with self._changed:
            if self._thread is not None or self._closing.is_set():
                return
            self.problem = "it is being opened"
            name = f"terminal-session-{self._opening.session}"
            self._thread = threading.Thread(target=self._supervise, name=name, daemon=True)
            self._thread.start()

    def ready(self, timeout: float) -> VenueFacts:
        """Wait until the terminal is open and return where its orders go; raises TerminalUnavailable after that."""
        with self._changed:
            self._changed.wait_for(lambda: self.facts is not None or self._closing.is_set(), timeout)
            if self.facts is None:
                raise self.unavailable()
            return self.facts

    def unavailable(self) -> TerminalUnavailable:
        """Return the error that says why the terminal is not open."""
        return NotDelivered(f"terminal session {self._opening.session} is not available: {self.problem}")

    def at_work(self) -> ChildProcess:
        """Return the child that has the terminal open; raises TerminalUnavailable when none has."""
        child = self.child
        if child is None or self.facts is None:
            raise self.unavailable()
        return child

    def told(self, custody: Custody) -> None:
        """Take note of what the terminal may still hold now."""
        with self._changed:
            if self.facts is not None:
                self.facts = replace(self.facts, custody=custody)

    def not_reached(self, child: ChildProcess, error: TerminalUnreachable) -> None:
        """Take a failed reconnection into account; a terminal is restarted together with its child."""
        self.symptoms.not_reached()
        if self.symptoms.are_enough:
            child.kill(str(error))
            self.lose(child, str(error))

    def lose(self, child: ChildProcess, problem: str) -> None:
        """Give up a child that has ended."""
        with self._changed:
            if self.child is not child:
                return  # told already: by the call that found out first, or by the supervisor
            self.child = self.facts = None
            if self._closing.is_set():
                return
            self.problem = problem
        if self.openings:
            _log.warning("terminal session lost, opening another", session=self._opening.session, problem=problem)

    def retire(self) -> None:
        """Open nothing any more; the call under way goes on."""
        with self._changed:
            self._closing.set()
            self.facts, self.problem = None, "it has been closed"
            self._changed.notify_all()

    def end(self, patience: float) -> None:
        """End the child: it may finish what it is doing within `patience` seconds, then it is killed."""
        child = self.child
        if child is not None:
            child.end(patience)

    def join(self, patience: float) -> None:
        """Wait at most `patience` seconds for the end of its thread."""
        if self._thread is not None:
            self._thread.join(patience)

    def _supervise(self) -> None:
        opening = Retrying(
            wait=wait_random_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
            stop=stop_when_event_set(self._closing),
            sleep=sleep_using_event(self._closing),
            before_sleep=self._tell_of_failure,
            reraise=True,
        )
        while not self._closing.is_set():
            try:
                child = opening(self._open)
            except Exception:  # noqa: BLE001 - nothing but closing ends the attempts, whatever was wrong with the last
                return
            child.wait()
            self._note_hang(child)
            self.lose(child, child.epitaph())
            child.release()

    def _open(self) -> ChildProcess:
        child = self._spawned()
        try:
            self._announce(self._opened(child))
        except Exception as error:
            self._note_hang(child)
            if isinstance(error, TerminalUnreachable):
                self.symptoms.not_reached()
            child.kill(str(error))
            child.release()
            self.lose(child, str(error))
            raise
        return child

    def _spawned(self) -> ChildProcess:
        if self._closing.is_set():
            raise self.unavailable()
        try:
            child = ChildProcess()
        except OSError as error:
            raise TerminalUnavailable(f"its process cannot be started: {error}") from error
        with self._changed:
            if not self._closing.is_set():
                self.child = child
                return child
        child.kill("it has been closed")
        child.release()
        raise self.unavailable()

    def _opened(self, child: ChildProcess) -> VenueFacts:
        """Have the child open the terminal: at once when it is free, however long another process may use it."""
        opening = wire.OPEN.ask(self._armed_opening())
        while True:
            try:
                return wire.OPEN.read_answer(child.call(opening, OPENING_SECONDS))
            except TerminalInUse as error:
                self._wait_for_terminal(str(error))

    def _wait_for_terminal(self, problem: str) -> None:
        if problem != self.problem and not self._closing.is_set():
            self.problem = problem
            _log.warning("terminal in use, waiting for it", session=self._opening.session, problem=problem)

    def _armed_opening(self) -> Opening:
        faults, log = failpoints.hand_down()
        restart = self.symptoms.restart()
        if restart:
            name, terminal = self._opening.session, self._opening.terminal
            _log.warning("terminal hangs, restarting it", session=name, terminal=terminal)
        return replace(self._opening, failpoints=faults, failpoints_log=log, restart=restart)

    def _note_hang(self, child: ChildProcess) -> None:
        if child.hung_over is not None:
            self.symptoms.hung(child.hung_over)

    def _announce(self, facts: VenueFacts) -> None:
        venue = facts.venue
        with self._changed:
            self.openings += 1
            self.symptoms.answered(wire.OPEN.name)
            self._opening = replace(self._opening, account=(venue.login, venue.server))
            if not self._closing.is_set():
                self.facts = facts
            self._changed.notify_all()
        _log.info("terminal session ready", session=self._opening.session, login=venue.login, server=venue.server)

    def _tell_of_failure(self, attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        is_defect = not isinstance(error, TerminalUnavailable)
        with self._changed:
            if not self._closing.is_set():
                self.problem = f"{type(error).__name__}: {error}" if is_defect else str(error)
        pause = round(attempt.next_action.sleep, 1) if attempt.next_action else 0
        name, trace = self._opening.session, error if is_defect else None
        _log.warning("terminal cannot be opened", session=name, problem=self.problem, next_try_in=pause, exc_info=trace)
