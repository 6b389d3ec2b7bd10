"""
The pipeline's terminal: the pool's sessions behind asyncio, each served by one thread in order of urgency.

One session does everything: sends first, questions when no send waits, or when the next sends wait for the question,
quotes before polls.
Of several, the first answers all questions, and each of the others sends and cancels the orders of its share of the
symbols: no question ever stands before a send.
"""

from __future__ import annotations

import asyncio
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from worker.domain.errors import TerminalUnavailable
from worker.domain.instrument import Instrument
from worker.domain.market import (
    CancelReport,
    Custody,
    OrderRequest,
    Poll,
    PollRequest,
    Quote,
    QuoteRequest,
    Search,
    SearchRequest,
    SendReport,
)
from worker.mt5.account import insist_on_one_account
from worker.mt5.agenda import Urgency
from worker.mt5.inquiry import Inquiry, Question
from worker.mt5.joint_search import together
from worker.mt5.lane import PATIENCE_SECONDS, STUCK_SECONDS, Lane
from worker.mt5.mailbox import Mailbox, Reply
from worker.mt5.pool import MT5ConnectionPool
from worker.mt5.quoting import Quoting
from worker.mt5.wire import OPENING_SECONDS, VenueFacts

LATECOMERS_SECONDS = 5.0  # after the first session is open: those that come this soon are compared before the start
TEND_SECONDS = 1.0  # between two questions to one of several sessions how it stands; well below any silence limit
_LONGEST_WAIT_SECONDS = 10.0  # for a terminal to come to its own look: meanwhile the searches of others wait, too

_UNKNOWN = Custody(clean_since=None, in_session=False)  # of a terminal that has not told yet

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class _Desk:
    """What belongs to one loop."""

    mailbox: Mailbox
    quoting: Quoting


class PooledTerminal:
    """
    Implements `ports.Terminal` over a pool of sessions of one account.

    Trades of one symbol always take the same session, in order. Questions take the first session that is ready, not
    stuck, and sees the account: while the first of all does not, another one does its work as well. A call whose task
    is cancelled before a thread has taken it up is never made.

    Of several each is asked once a second how it stands: so a terminal that hangs or may not trade is known before an
    order needs it, a broken connection is mended, and a session that only sends, which ends when it is not called,
    lives. It is this process's loop that asks, so that no session outlives a loop that has stopped.
    """

    def __init__(self, pool: MT5ConnectionPool) -> None:
        self._pool = pool
        self._lanes = [Lane(session) for session in pool.sessions.values()]
        self._senders = self._lanes[1:] or self._lanes
        self._patience: dict[Lane, float] = {}  # seconds; with those that did not come to their last look in time
        self._tending: asyncio.Task[None] | None = None
        self._desk: _Desk | None = None

    async def start(self, patience: float = OPENING_SECONDS) -> VenueFacts:
        """
        Open the terminals and return where their orders go, as soon as one of them is open.

        Those that are open later take part from then on, unless they show another account. Raises TerminalUnavailable
        after `patience` seconds, WrongSetting when those that are open already are not all of one account.
        """
        self._pool.start()
        await asyncio.to_thread(self._pool.session, patience)
        opened = await self._opened()
        account = insist_on_one_account(opened)
        for lane in self._lanes:
            lane.expect(account, is_shown=lane.session.name in opened)
        if len(self._lanes) > 1 and self._tending is None:
            self._tending = asyncio.create_task(self._tend(), name="terminals tended")
        return account.facts

    def sender_of(self, symbol: str) -> str:
        """Return the name of the terminal that sends the orders of a symbol."""
        return self._sending(symbol).session.sender

    async def quote(self, request: QuoteRequest) -> Quote:
        """Ask for everything the checks need. Raises TerminalUnavailable, also when the order could not be sent."""
        sending = self._sending(request.symbol)
        if sending is not self._lanes[0] and sending.problem is not None:
            raise TerminalUnavailable(sending.problem)
        return await self._here().quoting.quote(request, sending)

    async def submit(self, order: OrderRequest) -> SendReport:
        """Send one order; whatever happens is in the report."""
        reply: Reply[SendReport] = Reply(self._here().mailbox)
        self._sending(order.symbol).send(order, reply)
        return await reply.future

    async def poll(self, request: PollRequest) -> Poll:
        """Look once for all orders. Raises TerminalUnavailable."""
        # A session tells each change once: an answer that nobody waits for any more would be lost.
        return await self._ask(lambda lane: lane.poll(request))

    async def search(self, request: SearchRequest) -> Search:
        """
        Look for tokens in everything the account knows. Raises TerminalUnavailable.

        What the sending terminals may still hold is told from what they said last: no search waits for a send.
        """
        first, search = await self._ask(lambda lane: (lane, lane.session.search(request)), patience=math.inf)
        asked = [lane for lane in self._lanes if lane is not first and lane.session.sender in request.senders]
        own = await asyncio.gather(*(self._look_of(lane, request) for lane in asked))
        custody = {lane.session.sender: _UNKNOWN for lane in self._lanes}
        for lane in self._lanes:
            custody |= lane.session.custody
        away = frozenset(lane.session.sender for lane in self._lanes if not lane.is_open)
        return replace(together([search, *own]), custody=custody | dict(search.custody), away=away)

    async def cancel(self, ticket: int, symbol: str) -> CancelReport:
        """Ask the broker to cancel an order. Raises TerminalUnavailable when the request certainly did not leave."""
        lane = self._sending(symbol)
        reply = Reply[CancelReport](self._here().mailbox)
        lane.put(Urgency.CANCEL, lambda: lane.session.cancel(ticket, symbol), reply, PATIENCE_SECONDS)
        return await reply.future

    async def instruments(self, symbols: Sequence[str] = ()) -> tuple[Instrument, ...]:
        """Ask for instruments; all that the terminal shows when none are named. Raises TerminalUnavailable."""
        return await self._ask(lambda lane: lane.session.instruments(tuple(symbols)), light=True)

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
                lane.tend(self._here().mailbox)

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

    async def _opened(self) -> dict[str, VenueFacts]:
        """Return what the sessions show that are open, or will be in a moment, by name."""

        def facts(lane: Lane) -> dict[str, VenueFacts]:
            with suppress(TerminalUnavailable):
                return {lane.session.name: lane.session.ready(LATECOMERS_SECONDS)}
            return {}

        opened: dict[str, VenueFacts] = {}
        for found in await asyncio.gather(*(asyncio.to_thread(facts, lane) for lane in self._lanes)):
            opened |= found
        if not opened:
            raise self._lanes[0].session.unavailable()  # the one that was open is lost again
        return opened

    async def _look_of(self, lane: Lane, request: SearchRequest) -> Search:
        """Have one terminal look itself, if it comes to it soon, next time if less soon: its sends go first."""
        patience = self._patience.pop(lane, STUCK_SECONDS)
        looking = Reply[Search](self._here().mailbox)
        task = lane.put(Urgency.QUESTION, partial(lane.session.search, request), looking)
        try:
            await asyncio.wait({looking.future}, timeout=patience)
            if looking.is_wanted and lane.withdraw(task):
                self._patience[lane] = min(2 * patience, _LONGEST_WAIT_SECONDS)
                return Search(readable=False)
            return await looking.future
        except TerminalUnavailable as error:
            return Search(readable=False, detail=str(error))
        finally:
            looking.future.cancel()

    async def _ask(
        self, question: Callable[[Lane], Answer], *, light: bool = False, patience: float = PATIENCE_SECONDS
    ) -> Answer:
        return await Inquiry(self._lanes, Question(question, light, patience), self._here().mailbox).answer

    def _here(self) -> _Desk:
        """Return where what is asked on the running loop is answered."""
        loop = asyncio.get_running_loop()
        if self._desk is None or self._desk.mailbox.loop is not loop:
            mailbox = Mailbox(loop)
            self._desk = _Desk(mailbox, Quoting(self._lanes, mailbox))
        return self._desk

    def _sending(self, symbol: str) -> Lane:
        return self._senders[share_of(symbol, len(self._senders))]


def share_of(symbol: str, senders: int) -> int:
    """Return which of so many senders, from 0, has a symbol (the broker's name): the same at every start."""
    return zlib.crc32(symbol.encode()) % senders
