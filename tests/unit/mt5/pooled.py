"""Sessions without processes, and a pool of them behind the pipeline's terminal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from worker.domain.errors import TerminalUnavailable
from worker.domain.execution import Venue
from worker.domain.market import (
    BrokerOrder,
    CancelReport,
    Custody,
    Health,
    OrderRequest,
    Poll,
    Quote,
    QuoteRequest,
    Search,
    SendReport,
    SendStatus,
)
from worker.mt5.terminal import PooledTerminal
from worker.mt5.wire import Standing, VenueFacts

HEALTHY = Health(True, True, 7, "S", "demo", "hedging", Decimal(1000))  # noqa: FBT003 - connected, allowed to trade
FACTS = VenueFacts(Venue("native", "S", 7, "demo"), "hedging", "500", clock_offset_known=True)
SENT = SendReport(SendStatus.ANSWERED, retcode=10009)
MOMENT = datetime(2026, 1, 5, tzinfo=UTC)


class Session:
    """A session without a process: answers at once, or when `gate` is open, and notes what it was asked."""

    def __init__(self, name: str) -> None:
        self.name, self.sender = name, f"terminal {name}"
        self.facts, self.is_up = FACTS, True
        self.came_up = threading.Event()
        self.came_up.set()
        self.health = HEALTHY
        self.broken: str | None = None
        self.report_of_send = SENT
        self.asked: list[str] = []
        self.is_free = False  # to be asked at once, by who is no thread of its own
        self.asked_at_once: list[str] = []
        self.no_quotes_of: dict[str, TerminalUnavailable] = {}
        self.lines: list[list[str]] = []  # the symbols of orders that came together
        self.gate = threading.Event()
        self.gate.set()
        self.gates: dict[str, threading.Event] = {}  # of calls that have one of their own
        self.standing_asked = threading.Event()
        self.custody: dict[str, Custody] = {}
        self.orders: tuple[BrokerOrder, ...] = ()
        self.readable = True

    @property
    def answered(self) -> list[str]:
        """What it was asked, but how it stands."""
        return [what for what in self.asked if what != "standing"]

    def start(self) -> None: ...

    def ready(self, patience: float) -> VenueFacts:
        if not self.came_up.wait(patience):
            raise self.unavailable()
        return self.facts

    def is_ready(self) -> bool:
        return self.is_up and self.came_up.is_set()

    def unavailable(self) -> TerminalUnavailable:
        return TerminalUnavailable(f"{self.name} is down")

    def report(self) -> dict[str, Any]:
        return {"session": self.name, "problem": None if self.is_up else "down"}

    def quotes(self, requests: Sequence[QuoteRequest]) -> list[Quote | TerminalUnavailable]:
        self._called(" and ".join(["quote"] * len(requests)))
        quote = Quote(self.health, None, None, None, MOMENT)
        return [self.no_quotes_of.get(request.symbol, quote) for request in requests]

    def quotes_at_once(
        self, requests: Sequence[QuoteRequest]
    ) -> Callable[[], list[Quote | TerminalUnavailable]] | None:
        return partial(self.quotes, requests) if self._asks_at_once("quote") else None

    def submit_at_once(self, orders: Sequence[OrderRequest]) -> Iterator[list[SendReport]] | None:
        return self.submit_all(orders) if self._asks_at_once("submit") else None

    def poll(self, _request: object) -> Poll:
        self._called("poll")
        return Poll(self.health, readable=self.health.connected)

    def search(self, _request: object) -> Search:
        self._called("search")
        custody = {self.sender: Custody(MOMENT, in_session=False)}
        looked_by = frozenset({self.sender} if self.readable else ())
        return Search(self.readable, orders=self.orders, custody=custody, looked_by=looked_by)

    def instruments(self, _symbols: object) -> tuple[()]:
        self._called("instruments")
        return ()

    def submit_all(self, orders: Sequence[OrderRequest]) -> Iterator[list[SendReport]]:
        self.lines.append([order.symbol for order in orders])
        for order in orders:
            self._called(f"submit {order.symbol}")
            yield [self.report_of_send]

    def cancel(self, ticket: int, _symbol: str) -> CancelReport:
        self._called(f"cancel {ticket}")
        return CancelReport(10009, None, "")

    def standing(self) -> Standing:
        self.custody = {self.sender: Custody(MOMENT, in_session=False)}
        self.standing_asked.set()
        self._called("standing")
        return Standing(self.health, self.custody[self.sender])

    def _asks_at_once(self, what: str) -> bool:
        if self.is_free:
            self.asked_at_once.append(what)
        return self.is_free

    def _called(self, what: str) -> None:
        self.asked.append(what)
        assert self.gates.get(what, self.gate).wait(10)
        if not self.is_up:
            raise self.unavailable()
        if self.broken is not None:
            raise TerminalUnavailable(self.broken)


class Pool:
    """A pool of such sessions."""

    def __init__(self, *names: str) -> None:
        self.sessions = {name: Session(name) for name in names}

    def start(self) -> None: ...

    def session(self, patience: float) -> Session:
        first, *others = self.sessions.values()
        came_up = [session for session in (first, *others) if session.came_up.is_set()]
        if came_up:
            return came_up[0]
        first.ready(patience)
        return first

    def close(self, _patience: float) -> None:
        for session in self.sessions.values():
            for gate in (session.gate, *session.gates.values()):
                gate.set()
            session.came_up.set()


@asynccontextmanager
async def opened(*names: str) -> AsyncIterator[tuple[PooledTerminal, dict[str, Session]]]:
    pool: Any = Pool(*names)
    pooled = PooledTerminal(pool)
    await pooled.start()
    try:
        yield pooled, pool.sessions
    finally:
        await pooled.close(patience=2)


def symbols_of(pooled: PooledTerminal, session: Session, count: int = 1) -> list[str]:
    """Return symbols whose orders this session sends."""
    names = (f"SYM{number}" for number in range(1000))
    return [name for name in names if pooled.sender_of(name) == session.sender][:count]


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not happened():  # noqa: ASYNC110 - other threads make it happen, without a word
            await asyncio.sleep(0.005)
