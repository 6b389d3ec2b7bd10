"""Quotes for all who wait for one when a terminal comes to it, in one command; the next ones wait for the next."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from worker.domain.errors import TerminalUnavailable
from worker.domain.market import Quote, QuoteRequest
from worker.mt5.inquiry import Inquiry, Question
from worker.mt5.lane import Lane
from worker.mt5.mailbox import Mailbox, Reply
from worker.mt5.pace import Pace

_Quotes = Sequence[Quote | TerminalUnavailable]


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
        question = Question(partial(self._ask, together), light=True, at_once=partial(self._ask_at_once, together))
        inquiry = Inquiry(self._lanes, question, self._mailbox)
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
        if askers := self._askers(together):
            self._answer(lane, askers, partial(lane.quotes, _requests(askers)))

    def _ask_at_once(self, together: _Round, lane: Lane) -> Callable[[], None] | None:
        askers = self._askers(together)
        wait = lane.quotes_at_once(_requests(askers)) if askers else None
        return None if wait is None else partial(self._answer, lane, askers, wait)

    def _answer(self, lane: Lane, askers: Sequence[_Asker], quotes: Callable[[], _Quotes]) -> None:
        """Wait in a terminal's thread, and bring each his quote from there: on the loop nobody stands between."""
        began, answers = time.monotonic(), quotes()
        self._pace.took(time.monotonic() - began, len(askers))
        for asker, quote in zip(askers, answers, strict=True):
            asker.reply.bring(lane.as_sent_by(asker.sending, quote) if isinstance(quote, Quote) else quote)

    def _askers(self, together: _Round) -> Sequence[_Asker]:
        with together.gate:
            together.askers = together.askers or tuple(self._next())
            return together.askers

    def _next(self) -> Iterator[_Asker]:
        """Take those out of the queue who are in the round that begins now."""
        for _ in range(min(len(self._waiting), self._pace.at_once)):
            asker = self._waiting.popleft()
            if asker.reply.is_wanted:
                yield asker


def _requests(askers: Sequence[_Asker]) -> Sequence[QuoteRequest]:
    return [asker.request for asker in askers]
