"""The pipeline's terminal: the pool's sessions behind asyncio, each served by one thread in order of urgency."""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, TypeVar

import structlog

from worker.domain.errors import TerminalUnavailable
from worker.domain.instrument import Instrument
from worker.domain.market import (
    CancelReport,
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
from worker.mt5.findings import merged
from worker.mt5.pool import MT5ConnectionPool
from worker.mt5.session import TerminalSession
from worker.mt5.wire import OPENING_SECONDS, VenueFacts

Answer = TypeVar("Answer")
# Over the standard library, so that an unconfigured program keeps its standard output to itself.
_log = structlog.wrap_logger(logging.getLogger(__name__))


class _Urgency(IntEnum):
    """What goes first: an order has a deadline, a cancel is overdue; questions are asked in their order."""

    SUBMIT = 0
    CANCEL = 1
    QUESTION = 2
    END = 3


@dataclass(order=True, slots=True)
class _Task:
    urgency: _Urgency
    number: int
    work: Callable[[], Any] = field(compare=False)
    future: Future[Any] = field(compare=False)


class _Lane:
    """The thread of one session: takes the most urgent task, the oldest of those first."""

    def __init__(self, session: TerminalSession) -> None:
        self.session = session
        self._tasks: queue.PriorityQueue[_Task] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._gate = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"terminal-lane-{session.name}", daemon=True)
        self._thread.start()

    def put(self, urgency: _Urgency, work: Callable[[], Answer]) -> Future[Answer]:
        """Queue work; its future can be cancelled until the work begins."""
        future: Future[Answer] = Future()
        with self._gate:
            if self._closed:
                future.set_exception(self._is_closed())
            else:
                self._tasks.put(_Task(urgency, next(self._numbers), work, future))
        return future

    def close(self) -> None:
        """Take nothing more, fail what is queued, and end after the task at hand."""
        with self._gate:
            self._closed = True
            self._tasks.put(_Task(_Urgency.END, next(self._numbers), lambda: None, Future()))

    def join(self, patience: float) -> None:
        """Wait at most `patience` seconds for the end of its thread."""
        self._thread.join(patience)

    def _run(self) -> None:
        while (task := self._tasks.get()).urgency is not _Urgency.END:
            if task.future.set_running_or_notify_cancel():
                self._perform(task)

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


class PooledTerminal:
    """
    Implements `ports.Terminal` over a pool of sessions of one account.

    Trades of one symbol always take the same session, in order; polls take any that is ready. A call whose task is
    cancelled before a thread has taken it up is never made.
    """

    def __init__(self, pool: MT5ConnectionPool) -> None:
        self._pool = pool
        self._lanes = [_Lane(session) for session in pool.sessions.values()]

    async def start(self, patience: float = OPENING_SECONDS) -> VenueFacts:
        """Open the terminals and return where their orders go; raises TerminalUnavailable after `patience` seconds."""
        self._pool.start()
        waits = (asyncio.to_thread(lane.session.ready, patience) for lane in self._lanes)
        facts = await asyncio.gather(*waits)
        return facts[0]

    async def quote(self, request: QuoteRequest) -> Quote:
        """Ask for everything the checks need. Raises TerminalUnavailable."""
        lane = self._lane_of(request.symbol)
        return await self._do(lane, _Urgency.QUESTION, lambda: lane.session.quote(request))

    async def submit(self, order: OrderRequest) -> SendReport:
        """Send one order; whatever happens is in the report."""
        lane = self._lane_of(order.symbol)
        try:
            return await self._do(lane, _Urgency.SUBMIT, lambda: lane.session.submit(order))
        except TerminalUnavailable as error:
            return SendReport(SendStatus.NOT_SENT, NotSentReason.TERMINAL, detail=str(error))

    async def poll(self, request: PollRequest) -> Poll:
        """Look once for all orders. Raises TerminalUnavailable."""
        lane = self._any_lane()
        return await self._do(lane, _Urgency.QUESTION, lambda: lane.session.poll(request))

    async def search(self, request: SearchRequest) -> Search:
        """
        Look for tokens in everything the account knows. Raises TerminalUnavailable.

        A symbol is looked up by the session that sends its orders: only that one can say what it still holds.
        """
        asked: dict[_Lane, set[str]] = {}
        for symbol in request.symbols:
            asked.setdefault(self._lane_of(symbol), set()).add(symbol)
        looks = [self._search(lane, request, symbols) for lane, symbols in (asked or {self._any_lane(): set()}).items()]
        return merged(await asyncio.gather(*looks))

    async def cancel(self, ticket: int, symbol: str) -> CancelReport:
        """Ask the broker to cancel an order. Raises TerminalUnavailable when the request certainly did not leave."""
        lane = self._lane_of(symbol)
        return await self._do(lane, _Urgency.CANCEL, lambda: lane.session.cancel(ticket, symbol))

    async def instruments(self, symbols: Sequence[str] = ()) -> tuple[Instrument, ...]:
        """Ask for instruments; all that the terminal shows when none are named. Raises TerminalUnavailable."""
        lane = self._any_lane()
        return await self._do(lane, _Urgency.QUESTION, lambda: lane.session.instruments(tuple(symbols)))

    def report(self) -> Mapping[str, Any]:
        """Return what an operator wants to know of each session."""
        return {lane.session.name: lane.session.report() for lane in self._lanes}

    async def close(self, patience: float = 5.0) -> None:
        """End every session: a call under way may finish within `patience` seconds, what is queued is not made."""
        await asyncio.to_thread(self._close, patience)

    def _close(self, patience: float) -> None:
        for lane in self._lanes:
            lane.close()
        self._pool.close(patience)
        for lane in self._lanes:
            lane.join(patience)

    async def _search(self, lane: _Lane, request: SearchRequest, symbols: set[str]) -> Search:
        part = replace(request, symbols=frozenset(symbols))
        return await self._do(lane, _Urgency.QUESTION, lambda: lane.session.search(part))

    async def _do(self, lane: _Lane, urgency: _Urgency, work: Callable[[], Answer]) -> Answer:
        began = time.monotonic()
        try:
            return await asyncio.wrap_future(lane.put(urgency, work))
        finally:
            _log.debug("terminal_called", call=urgency.name.lower(), ms=round((time.monotonic() - began) * 1000, 2))

    def _lane_of(self, symbol: str) -> _Lane:
        return self._lanes[zlib.crc32(symbol.encode()) % len(self._lanes)]

    def _any_lane(self) -> _Lane:
        return next((lane for lane in self._lanes if lane.session.is_ready()), self._lanes[0])
