"""Quotes for all who wait for one when a terminal comes to it, in one command; the next ones wait for the next."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from worker.domain.errors import TerminalUnavailable
from worker.domain.market import Quote, QuoteRequest
from worker.mt5.lane import Lane
from worker.mt5.pace import Pace


@dataclass(frozen=True, slots=True, eq=False)
class _Asker:
    request: QuoteRequest
    sending: Lane  # that would send the order
    answer: asyncio.Future[Quote]


@dataclass(frozen=True, slots=True)
class _Answers:
    """What a lane has answered to those who were in a round."""

    lane: Lane
    askers: Sequence[_Asker]
    quotes: Sequence[Quote | TerminalUnavailable]


class Quoting:
    """
    Asks in rounds, without a timer: who comes while a round is under way is in the next one.

    `ask` puts a question to a terminal, and perhaps to another one. Who is in a round is settled when its command is
    begun, so that a terminal that is busy with sends finds all of them in one question.
    """

    def __init__(self, ask: Callable[[Callable[[Lane], _Answers]], Awaitable[_Answers]]) -> None:
        self._ask = ask
        self._waiting = deque[_Asker]()
        self._rounds: asyncio.Task[None] | None = None
        self._pace = Pace()
        self._gate = threading.Lock()

    async def quote(self, request: QuoteRequest, sending: Lane) -> Quote:
        """Return what is asked for, of right now. Raises TerminalUnavailable."""
        asker = _Asker(request, sending, asyncio.get_running_loop().create_future())
        self._waiting.append(asker)
        if self._rounds is None or self._rounds.done():
            self._rounds = asyncio.create_task(self._go_round(), name="quotes")
        return await asker.answer

    async def _go_round(self) -> None:
        while self._waiting:
            await self._round()

    async def _round(self) -> None:
        askers: list[_Asker] = []

        def question(lane: Lane) -> _Answers:
            with self._gate:  # the same question may just be put to another terminal, too
                askers.extend(() if askers else self._next())
                asked = tuple(askers)
            if not asked:
                return _Answers(lane, (), ())
            began = time.monotonic()
            quotes = lane.quotes([asker.request for asker in asked])
            self._pace.took(time.monotonic() - began, len(asked))
            return _Answers(lane, asked, quotes)

        try:
            answers = await self._ask(question)
        except Exception as error:  # noqa: BLE001 - it belongs to those who have asked
            for asker in askers or list(self._next()):
                _fail(asker, error)
        else:
            for asker, quote in zip(answers.askers, answers.quotes, strict=True):
                _settle(asker, answers.lane, quote)

    def _next(self) -> Iterator[_Asker]:
        """Take those out of the queue, in a terminal's thread, who are in the round that begins now."""
        for _ in range(min(len(self._waiting), self._pace.at_once)):
            asker = self._waiting.popleft()
            if not asker.answer.done():
                yield asker


def _settle(asker: _Asker, lane: Lane, quote: Quote | TerminalUnavailable) -> None:
    if isinstance(quote, TerminalUnavailable):
        _fail(asker, quote)
    elif not asker.answer.done():
        asker.answer.set_result(lane.as_sent_by(asker.sending, quote))


def _fail(asker: _Asker, error: Exception) -> None:
    if not asker.answer.done():
        asker.answer.set_exception(error)
