"""Quotes for all who wait for one when a terminal comes to it, in one command; the next ones wait for the next."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from worker.domain.market import Quote, QuoteRequest
from worker.mt5.inquiry import Inquiry
from worker.mt5.lane import PATIENCE_SECONDS, Lane
from worker.mt5.mailbox import Mailbox, Reply
from worker.mt5.pace import Pace


@dataclass(frozen=True, slots=True, eq=False)
class _Asker:
    request: QuoteRequest
    sending: Lane  # that would send the order
    reply: Reply[Quote]


@dataclass(slots=True)
class _Round:
    """Those who are asked for together; settled when the first terminal begins with their command."""

    askers: tuple[_Asker, ...] = ()
    gate: threading.Lock = field(default_factory=threading.Lock)  # it may just be put to another terminal, too


class Quoting:
    """
    Asks in rounds, without a timer: who comes while a round is under way is in the next one.

    A round is put to one of the lanes, and perhaps to another one. Who is in it is settled when its command is
    begun, so that a terminal that is busy with sends finds all of them in one question.
    """

    def __init__(self, lanes: Sequence[Lane], mailbox: Mailbox) -> None:
        self._lanes, self._mailbox = lanes, mailbox
        self._waiting = deque[_Asker]()
        self._round: _Round | None = None
        self._pace = Pace()

    def quote(self, request: QuoteRequest, sending: Lane) -> asyncio.Future[Quote]:
        """Return what is asked for, of right now; or TerminalUnavailable."""
        asker = _Asker(request, sending, Reply(self._mailbox))
        self._waiting.append(asker)
        if self._round is None:
            self._begin()
        return asker.reply.future

    def _begin(self) -> None:
        self._round = together = _Round()
        ask = partial(self._ask, together)
        inquiry = Inquiry(self._lanes, ask, self._mailbox, light=True, patience=PATIENCE_SECONDS)
        inquiry.answer.add_done_callback(partial(self._over, together))

    def _over(self, together: _Round, answer: asyncio.Future[None]) -> None:
        """Tell those who were asked for in vain, and begin the next round."""
        self._round = None
        if (error := answer.exception()) is not None:
            for asker in together.askers or tuple(self._next()):
                asker.reply.bring(error)
        if self._waiting:
            self._begin()

    def _ask(self, together: _Round, lane: Lane) -> None:
        """Ask in a terminal's thread, and bring each his answer from there: on the loop nobody stands between."""
        with together.gate:
            together.askers = askers = together.askers or tuple(self._next())
        if not askers:
            return
        began = time.monotonic()
        quotes = lane.quotes([asker.request for asker in askers])
        self._pace.took(time.monotonic() - began, len(askers))
        for asker, quote in zip(askers, quotes, strict=True):
            asker.reply.bring(lane.as_sent_by(asker.sending, quote) if isinstance(quote, Quote) else quote)

    def _next(self) -> Iterator[_Asker]:
        """Take those out of the queue who are in the round that begins now."""
        for _ in range(min(len(self._waiting), self._pace.at_once)):
            asker = self._waiting.popleft()
            if asker.reply.is_wanted:
                yield asker
