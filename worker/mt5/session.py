"""A terminal session: one MetaTrader terminal behind one child process, which is replaced whenever it ends."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from worker.domain.errors import TerminalUnavailable
from worker.domain.instrument import Instrument
from worker.domain.market import (
    CancelReport,
    Custody,
    Health,
    OrderRequest,
    Poll,
    PollRequest,
    Quote,
    QuoteRequest,
    Search,
    SearchRequest,
    SendReport,
)
from worker.mt5 import wire
from worker.mt5.child import ChildProcess, Unanswered
from worker.mt5.dialogue import Dialogue, not_sent
from worker.mt5.supervisor import Supervisor
from worker.mt5.wire import (
    CancelRequest,
    Command,
    Opening,
    OrderStory,
    Standing,
    VenueFacts,
)

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class TerminalSession:
    """
    Plain synchronous calls to one terminal, from any thread, one at a time.

    What is asked `at_once` leaves in the thread that asks, if nobody has the session, and is waited for in another one:
    that saves a trade the hand-over.

    `with session.lock:` keeps the terminal for several calls in a row. A call that takes longer than
    `opening.call_timeout` seconds ends the child process. Another one is started in the background, with growing
    pauses; until it is ready every call raises TerminalUnavailable at once. Whoever waits for one session or any of
    several waits at `changed`.

    A terminal that hangs is restarted together with the child (see Symptoms), if it is a process that can be told from
    all others: one with the path of its program.
    """

    def __init__(self, opening: Opening, changed: threading.Condition) -> None:
        self.lock = threading.RLock()
        self._under_way = threading.Lock()  # a command, until its last answer: another thread may wait for that
        self.sender = opening.sender  # the terminal's name
        self._opening = opening
        self._supervisor = Supervisor(opening, changed)
        self._dialogue = Dialogue(self._supervisor, opening.call_timeout)

    @property
    def name(self) -> str:
        """Return the session's name."""
        return self._opening.session

    @property
    def custody(self) -> Mapping[str, Custody]:
        """
        Return what the terminal may still hold, by its name, as it was last told; nothing while it is not open.

        Nothing either when it is clean since a moment to come: that was written down by a clock that has been put back.
        """
        facts, now = self._supervisor.facts, datetime.now(UTC)
        if facts is None or (facts.custody.clean_since or now) > now:
            return {}
        return {self.sender: facts.custody}

    def start(self) -> None:
        """Begin to open the terminal in the background; a second call does nothing."""
        self._supervisor.start()

    def ready(self, timeout: float) -> VenueFacts:
        """Wait until the terminal is open and return where its orders go; raises TerminalUnavailable after that."""
        return self._supervisor.ready(timeout)

    def is_ready(self) -> bool:
        """Tell whether a call would reach the terminal now."""
        return self._supervisor.facts is not None

    def unavailable(self) -> TerminalUnavailable:
        """Return the error that says why a call cannot be made now."""
        return self._supervisor.unavailable()

    def quote(self, request: QuoteRequest) -> Quote:
        """Ask for all that the checks of one trade need. Raises TerminalUnavailable."""
        (quote,) = self.quotes((request,))
        if isinstance(quote, TerminalUnavailable):
            raise quote
        return quote

    def quotes(self, requests: Sequence[QuoteRequest]) -> Sequence[Quote | TerminalUnavailable]:
        """Ask for the same for several trades, each with an answer of its own. Raises TerminalUnavailable."""
        return self.call(wire.QUOTE, tuple(requests)).of(requests)

    def quotes_at_once(
        self, requests: Sequence[QuoteRequest]
    ) -> Callable[[], Sequence[Quote | TerminalUnavailable]] | None:
        """Ask for them without waiting for anything; what is returned waits for the answer. None: it was not asked."""
        child = self._ask_at_once(wire.QUOTE.ask(tuple(requests)))
        if child is None:
            return None

        def wait() -> Sequence[Quote | TerminalUnavailable]:
            with self._then_free():
                return self._dialogue.answer(wire.QUOTE, child).of(requests)

        return wait

    def submit(self, order: OrderRequest) -> SendReport:
        """Send one order; whatever happens is in the report."""
        (report,) = itertools.chain.from_iterable(self.submit_all((order,)))
        return report

    def submit_all(self, orders: Sequence[OrderRequest]) -> Generator[Sequence[SendReport], None, None]:
        """
        Send orders strictly one after the other; yields their reports in that order, those together that come together.

        They go to the child process in one line. It answers each before it begins the next one, and begins nothing
        when its answer finds nobody. So when it ends, the first one that it has not answered may have been sent; those
        behind it were certainly not begun, if it has certainly ended and all that it had answered was read. Each answer
        has the call's time limit of its own. The iterator must be exhausted: until then the session is taken, and the
        child is ended when it is given up before.
        """
        with self.lock, self._under_way:
            try:
                child = self._dialogue.ask(wire.SUBMIT.ask(*orders))
            except TerminalUnavailable as error:
                yield [not_sent(error)] * len(orders)
            else:
                yield from self._dialogue.reports(child, len(orders))

    def submit_at_once(self, orders: Sequence[OrderRequest]) -> Generator[Sequence[SendReport], None, None] | None:
        """Hand them over without waiting for anything; yields as `submit_all` does. None: they were not handed over."""
        child = self._ask_at_once(wire.SUBMIT.ask(*orders))
        if child is None:
            return None

        def wait() -> Generator[Sequence[SendReport], None, None]:
            with self._then_free():
                yield from self._dialogue.reports(child, len(orders))

        return wait()

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
        with self.lock:
            standing = self.call(wire.STANDING, None)
            self._supervisor.told(standing.custody)
        return standing

    def instruments(self, symbols: tuple[str, ...] = ()) -> tuple[Instrument, ...]:
        """Ask for instruments; all that the terminal shows when none are named. Raises TerminalUnavailable."""
        return self.call(wire.INSTRUMENTS, symbols)

    def order(self, ticket: int) -> OrderStory | None:
        """Ask for one order and its deals. Raises TerminalUnavailable."""
        return self.call(wire.ORDER, ticket)

    def call(self, command: Command[Request, Answer], request: Request) -> Answer:
        """Send a command to the child process and return its answer."""
        with self.lock, self._under_way:
            return self._dialogue.answer(command, self._dialogue.ask(command.ask(request)))

    def report(self) -> Mapping[str, Any]:
        """Return what an operator wants to know of it, without waiting for anything."""
        watched = self._supervisor
        child, facts = watched.child, watched.facts
        return {
            "session": self.name,
            "state": watched.state,
            "problem": None if facts else watched.problem,
            "pid": None if child is None else child.pid,
            "restarts": max(0, watched.openings - 1),
            "terminal_restarts": watched.symptoms.restarts,
            "login": None if facts is None else facts.venue.login,
            "server": None if facts is None else facts.venue.server,
        }

    def retire(self) -> None:
        """Take no more calls; the one under way goes on."""
        self._supervisor.retire()

    def close(self, patience: float = 5.0) -> None:
        """End the child process: it may finish what it is doing within `patience` seconds, then it is killed."""
        self.retire()
        give_up_at = time.monotonic() + patience
        with ExitStack() as idle:
            for lock in (self.lock, self._under_way):
                if lock.acquire(timeout=max(0.0, give_up_at - time.monotonic())):
                    idle.callback(lock.release)
            self._supervisor.end(max(0.0, give_up_at - time.monotonic()))
        self._supervisor.join(patience)

    def _ask_at_once(self, line: bytes) -> ChildProcess | None:
        """
        Ask if nobody has the session and the pipe takes the whole line without waiting for its reader.

        The session is taken then, until whoever waits for the answer has it. None: nothing was asked.
        """
        if not ChildProcess.takes_at_once(line) or not self.lock.acquire(blocking=False):
            return None
        try:
            return self._ask_or_free(line) if self._under_way.acquire(blocking=False) else None
        finally:
            self.lock.release()

    def _ask_or_free(self, line: bytes) -> ChildProcess | None:
        try:
            return self._dialogue.ask(line)
        except BaseException as error:
            self._under_way.release()
            if isinstance(error, TerminalUnavailable):
                return None  # as whoever asks again will be told
            raise

    @contextmanager
    def _then_free(self) -> Iterator[None]:
        """Let others have the session after the block: it waits for what was asked at once."""
        try:
            yield
        finally:
            self._under_way.release()
