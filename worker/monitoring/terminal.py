"""The pipeline's terminal with a stop-watch in front of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import structlog

from worker.domain.errors import TerminalUnavailable
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
from worker.ports import Terminal

_NO_TERMINAL = frozenset({NotSentReason.TERMINAL, NotSentReason.WRONG_ACCOUNT})

Answer = TypeVar("Answer")
_log = structlog.get_logger()


class CallMeter(Protocol):
    """Who is told of each call."""

    def called(self, call: str, seconds: float, *, failed: bool) -> None:
        """Take note of a call: its name, how long it took, whether it brought no answer to go by."""
        ...


class MeteredTerminal:
    """Implements `ports.Terminal` by another one, and tells how long each call took and whether it was answered."""

    def __init__(self, terminal: Terminal, meter: CallMeter) -> None:
        self._terminal, self._meter = terminal, meter

    def sender_of(self, symbol: str) -> str:
        """Return the name of the terminal that sends the orders of a symbol."""
        return self._terminal.sender_of(symbol)

    async def quote(self, request: QuoteRequest) -> Quote:
        """Ask for everything the checks need."""
        return await self._timed("quote", self._terminal.quote(request), lambda quote: quote.health.problem is None)

    async def submit(self, order: OrderRequest) -> SendReport:
        """Send one order."""
        return await self._timed("submit", self._terminal.submit(order), _is_answered)

    async def poll(self, request: PollRequest) -> Poll:
        """Look once for all orders."""
        return await self._timed("poll", self._terminal.poll(request), lambda poll: poll.readable)

    async def search(self, request: SearchRequest) -> Search:
        """Look for tokens in everything the terminal knows."""
        return await self._timed("search", self._terminal.search(request), lambda search: search.readable)

    async def cancel(self, ticket: int, symbol: str) -> CancelReport:
        """Ask the broker to cancel an order."""
        return await self._timed("cancel", self._terminal.cancel(ticket, symbol), lambda told: told.retcode is not None)

    async def _timed(self, call: str, answer: Awaitable[Answer], is_answered: Callable[[Answer], bool]) -> Answer:
        began = time.monotonic()
        try:
            answered = await answer
        except TerminalUnavailable:
            self._called(call, time.monotonic() - began, failed=True)
            raise
        self._called(call, time.monotonic() - began, failed=not is_answered(answered))
        return answered

    def _called(self, call: str, seconds: float, *, failed: bool) -> None:
        _log.debug("terminal_called", call=call, ms=round(seconds * 1000, 2))
        self._meter.called(call, seconds, failed=failed)


def _is_answered(report: SendReport) -> bool:
    return report.status is SendStatus.ANSWERED or (
        report.status is SendStatus.NOT_SENT and report.reason not in _NO_TERMINAL
    )
