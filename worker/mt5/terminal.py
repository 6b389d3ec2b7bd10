"""
The pipeline's terminal: the pool's sessions behind asyncio, each served by one thread in order of urgency.

One session does everything: sends first, questions when no send waits. Of several, the first answers all questions,
and each of the others sends and cancels the orders of its share of the symbols: no question ever stands before a send.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import structlog

from worker.domain.errors import TerminalUnavailable, WrongSetting
from worker.domain.instrument import Instrument
from worker.domain.market import (
    CancelReport,
    Custody,
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
from worker.mt5.lane import STUCK_SECONDS, Lane, Urgency
from worker.mt5.pool import MT5ConnectionPool
from worker.mt5.session import TerminalSession
from worker.mt5.wire import OPENING_SECONDS, VenueFacts

TEND_SECONDS = 1.0  # between two questions to one of several sessions how it stands; well below any silence limit

Answer = TypeVar("Answer")
# Over the standard library, so that an unconfigured program keeps its standard output to itself.
_log = structlog.wrap_logger(logging.getLogger(__name__))


class PooledTerminal:
    """
    Implements `ports.Terminal` over a pool of sessions of one account.

    Trades of one symbol always take the same session, in order. Questions take the first session that is ready and not
    stuck: while the first of all is down, another one does its work as well. A call whose task is cancelled before a
    thread has taken it up is never made.

    Of several each is asked once a second how it stands: so a terminal that hangs or may not trade is known before an
    order needs it, a broken connection is mended, and a session that only sends, which ends when it is not called,
    lives. It is this process's loop that asks, so that no session outlives a loop that has stopped.
    """

    def __init__(self, pool: MT5ConnectionPool) -> None:
        self._pool = pool
        self._lanes = [Lane(session) for session in pool.sessions.values()]
        self._senders = self._lanes[1:] or self._lanes
        self._tending: asyncio.Task[None] | None = None

    async def start(self, patience: float = OPENING_SECONDS) -> VenueFacts:
        """
        Open the terminals and return where their orders go.

        Raises TerminalUnavailable after `patience` seconds, WrongSetting when they are not all of one account.
        """
        self._pool.start()
        if len(self._lanes) > 1 and self._tending is None:
            self._tending = asyncio.create_task(self._tend(), name="terminals tended")
        waits = (asyncio.to_thread(lane.session.ready, patience) for lane in self._lanes)
        facts = await asyncio.gather(*waits)
        insist_on_one_account(dict(zip(self._pool.sessions, facts, strict=True)))
        return facts[0]

    def sender_of(self, symbol: str) -> str:
        """Return the name of the terminal that sends the orders of a symbol."""
        return self._sending(symbol).session.sender

    async def quote(self, request: QuoteRequest) -> Quote:
        """Ask for everything the checks need. Raises TerminalUnavailable, also when the order could not be sent."""
        sending = self._sending(request.symbol)
        if sending is not self._answering() and sending.problem is not None:
            raise TerminalUnavailable(sending.problem)
        return await self._ask(lambda session: session.quote(request))

    async def submit(self, order: OrderRequest) -> SendReport:
        """Send one order; whatever happens is in the report."""
        lane = self._sending(order.symbol)
        try:
            return await self._do(lane, Urgency.SUBMIT, lambda: lane.submit(order))
        except TerminalUnavailable as error:
            return SendReport(SendStatus.NOT_SENT, NotSentReason.TERMINAL, detail=str(error))

    async def poll(self, request: PollRequest) -> Poll:
        """Look once for all orders. Raises TerminalUnavailable."""
        # A session tells each change once: an answer that nobody waits for any more would be lost.
        return await self._ask(lambda session: session.poll(request), once=True)

    async def search(self, request: SearchRequest) -> Search:
        """
        Look for tokens in everything the account knows. Raises TerminalUnavailable.

        What the sending terminals may still hold is told from what they said last: no search waits for a send.
        """
        search = await self._ask(lambda session: session.search(request))
        last_told: dict[str, Custody] = {}
        for lane in self._lanes:
            last_told |= lane.session.custody
        return replace(search, custody=last_told | dict(search.custody))

    async def cancel(self, ticket: int, symbol: str) -> CancelReport:
        """Ask the broker to cancel an order. Raises TerminalUnavailable when the request certainly did not leave."""
        lane = self._sending(symbol)
        return await self._do(lane, Urgency.CANCEL, lambda: lane.session.cancel(ticket, symbol))

    async def instruments(self, symbols: Sequence[str] = ()) -> tuple[Instrument, ...]:
        """Ask for instruments; all that the terminal shows when none are named. Raises TerminalUnavailable."""
        return await self._ask(lambda session: session.instruments(tuple(symbols)))

    def report(self) -> Mapping[str, Any]:
        """Return what an operator wants to know of each session."""
        return {lane.session.name: self._report(lane) for lane in self._lanes}

    async def close(self, patience: float = 5.0) -> None:
        """End every session: a call under way may finish within `patience` seconds, what is queued is not made."""
        if self._tending is not None:
            self._tending.cancel()
        await asyncio.to_thread(self._close, patience)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_SECONDS)
            for lane in self._lanes:
                lane.tend()

    def _close(self, patience: float) -> None:
        for lane in self._lanes:
            lane.close()
        self._pool.close(patience)
        for lane in self._lanes:
            lane.join(patience)

    def _report(self, lane: Lane) -> Mapping[str, Any]:
        duties = [("answers", lane is self._lanes[0]), ("sends", lane in self._senders)]
        duty = " and ".join(name for name, is_its in duties if is_its)
        report = lane.session.report()
        return {**report, "duty": duty, "problem": report["problem"] or lane.problem}

    async def _ask(self, question: Callable[[TerminalSession], Answer], *, once: bool = False) -> Answer:
        """
        Put a question to the session that answers now; where it waits in vain, put it to another.

        One that may be asked `once` only stays with the session that has taken it up, however long that takes.
        """
        with _told(Urgency.QUESTION):
            while True:
                lane = self._answering()
                future = lane.put(Urgency.QUESTION, partial(question, lane.session))
                answer = asyncio.wrap_future(future)
                try:
                    while not answer.done():
                        await asyncio.wait({answer}, timeout=STUCK_SECONDS)
                        is_in_vain = not answer.done() and self._answering() is not lane
                        if is_in_vain and (future.cancel() or not once):
                            break
                    else:
                        return answer.result()
                finally:
                    answer.cancel()

    async def _do(self, lane: Lane, urgency: Urgency, work: Callable[[], Answer]) -> Answer:
        with _told(urgency):
            return await asyncio.wrap_future(lane.put(urgency, work))

    def _sending(self, symbol: str) -> Lane:
        return self._senders[share_of(symbol, len(self._senders))]

    def _answering(self) -> Lane:
        return next((lane for lane in self._lanes if lane.is_at_hand), self._lanes[0])


def share_of(symbol: str, senders: int) -> int:
    """Return which of so many senders, from 0, has a symbol (the broker's name): the same at every start."""
    return zlib.crc32(symbol.encode()) % senders


@contextmanager
def _told(urgency: Urgency) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        _log.debug("terminal_called", call=urgency.name.lower(), ms=round((time.monotonic() - began) * 1000, 2))


def insist_on_one_account(sessions: Mapping[str, VenueFacts]) -> None:
    """Raise WrongSetting when one of these sessions is not logged in where the first of them is."""
    (first, expected), *others = sessions.items()
    for name, facts in others:
        if (facts.venue, facts.account_mode) != (expected.venue, expected.account_mode):
            raise WrongSetting(
                f"MT5_SESSIONS: session {name} is logged in to {_account(facts)}, session {first} to "
                f"{_account(expected)}; all must show the same account: log in to it there, or take {name} out"
            )


def _account(facts: VenueFacts) -> str:
    return f"{facts.venue.login} at {facts.venue.server} ({facts.venue.mode}, {facts.account_mode})"
