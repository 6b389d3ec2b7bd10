"""Several sessions of one account: the first answers, the others send; no question ever stands before a send."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.fixtures.terminal import a_look, a_question, a_search, an_order
from worker.domain.errors import TerminalUnavailable, WrongSetting
from worker.domain.execution import Venue
from worker.domain.market import (
    CancelReport,
    Custody,
    Health,
    NotSentReason,
    OrderRequest,
    Poll,
    Quote,
    Search,
    SendReport,
    SendStatus,
)
from worker.mt5.lane import STUCK_SECONDS
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
        self.health_problem: str | None = None
        self.report_of_send = SENT
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.standing_asked = threading.Event()
        self.custody: dict[str, Custody] = {}

    @property
    def answered(self) -> list[str]:
        """What it was asked, but how it stands."""
        return [what for what in self.asked if what != "standing"]

    def start(self) -> None: ...

    def ready(self, _patience: float) -> VenueFacts:
        return self.facts

    def is_ready(self) -> bool:
        return self.is_up

    def unavailable(self) -> TerminalUnavailable:
        return TerminalUnavailable(f"{self.name} is down")

    def report(self) -> dict[str, Any]:
        return {"session": self.name, "problem": None if self.is_up else "down"}

    def quote(self, _request: object) -> Quote:
        self._called("quote")
        return Quote(HEALTHY, None, None, None, MOMENT)

    def poll(self, _request: object) -> Poll:
        self._called("poll")
        return Poll(HEALTHY, readable=True)

    def search(self, _request: object) -> Search:
        self._called("search")
        return Search(readable=True, custody={self.sender: Custody(MOMENT, in_session=False)})

    def instruments(self, _symbols: object) -> tuple[()]:
        self._called("instruments")
        return ()

    def submit(self, order: OrderRequest) -> SendReport:
        self._called(f"submit {order.symbol}")
        return self.report_of_send

    def cancel(self, ticket: int, _symbol: str) -> CancelReport:
        self._called(f"cancel {ticket}")
        return CancelReport(10009, None, "")

    def standing(self) -> Standing:
        self.custody = {self.sender: Custody(MOMENT, in_session=False)}
        self.standing_asked.set()
        self._called("standing")
        return Standing(replace(HEALTHY, problem=self.health_problem), self.custody[self.sender])

    def _called(self, what: str) -> None:
        self.asked.append(what)
        assert self.gate.wait(10)
        if not self.is_up:
            raise self.unavailable()


class Pool:
    """A pool of such sessions."""

    def __init__(self, *names: str) -> None:
        self.sessions = {name: Session(name) for name in names}

    def start(self) -> None: ...

    def close(self, _patience: float) -> None:
        for session in self.sessions.values():
            session.gate.set()


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


async def test_the_first_answers_every_question_and_the_others_send_their_share() -> None:
    async with opened("asks", "one", "two") as (pooled, sessions):
        for symbol in ("EURUSD", "USDJPY", "XAUUSD", "GBPUSD"):
            await pooled.quote(a_question(symbol))
            await pooled.submit(an_order(symbol))
            await pooled.submit(an_order(symbol))
            await pooled.cancel(1, symbol)
        await pooled.poll(a_look())
        await pooled.search(a_search("EURUSD"))
        await pooled.instruments()

        assert sessions["asks"].answered == ["quote"] * 4 + ["poll", "search", "instruments"]
        sent = [what for name in ("one", "two") for what in sessions[name].answered]
        assert len(sent) == 12
        for symbol in ("EURUSD", "USDJPY", "XAUUSD", "GBPUSD"):
            by = [name for name, session in sessions.items() if f"submit {symbol}" in session.asked]
            assert by == [name for name in sessions if sessions[name].sender == pooled.sender_of(symbol)]


async def test_symbols_are_spread_over_the_senders() -> None:
    async with opened("asks", "one", "two", "three") as (pooled, _):
        senders = [pooled.sender_of(f"SYM{number}") for number in range(300)]
        assert {name: senders.count(name) > 60 for name in senders} == {
            "terminal one": True,
            "terminal two": True,
            "terminal three": True,
        }


async def test_a_question_never_waits_for_a_send_nor_a_send_for_a_question() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        # Given a send that takes its time
        sessions["sends"].gate.clear()
        sending = asyncio.create_task(pooled.submit(an_order()))
        await until(lambda: "submit EURUSD" in sessions["sends"].asked)

        # Then questions are answered meanwhile, and the other way round
        await pooled.quote(a_question())
        await pooled.search(a_search())
        sessions["sends"].gate.set()
        await sending
        sessions["asks"].gate.clear()
        polling = asyncio.create_task(pooled.poll(a_look()))
        await until(lambda: "poll" in sessions["asks"].asked)
        assert await pooled.submit(an_order()) == SENT
        sessions["asks"].gate.set()
        await polling


async def test_while_the_first_is_down_another_does_its_work_and_gives_it_back() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        sessions["asks"].is_up = False
        await pooled.poll(a_look())
        await pooled.quote(a_question())
        assert sessions["sends"].answered == ["poll", "quote"]

        sessions["asks"].is_up = True
        await pooled.poll(a_look())
        assert sessions["asks"].answered == ["poll"]


async def test_a_question_that_waits_behind_a_stuck_one_moves_on() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        # Given a first session that hangs in a poll, and a question that was put to it right after
        sessions["asks"].gate.clear()
        hanging = asyncio.create_task(pooled.poll(a_look()))
        await until(lambda: "poll" in sessions["asks"].asked)
        began = time.monotonic()

        # Then another session answers it soon, and the next one at once
        await pooled.quote(a_question())
        assert time.monotonic() - began < 3 * STUCK_SECONDS
        began = time.monotonic()
        await pooled.quote(a_question())
        assert time.monotonic() - began < STUCK_SECONDS
        assert sessions["asks"].answered == ["poll"]
        sessions["asks"].gate.set()
        await hanging


async def test_a_question_that_a_session_hangs_over_is_put_to_another_but_for_a_poll() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        sessions["asks"].gate.clear()
        await pooled.quote(a_question())
        assert (sessions["asks"].answered, sessions["sends"].answered) == (["quote"], ["quote"])
        sessions["asks"].gate.set()

        # A poll tells each change once: what it brings must not be thrown away.
        await until(lambda: not pooled._lanes[0]._busy_since)
        sessions["asks"].gate.clear()
        polling = asyncio.create_task(pooled.poll(a_look()))
        await asyncio.sleep(1.5 * STUCK_SECONDS)
        assert not polling.done()
        sessions["asks"].gate.set()
        await polling
        assert "poll" not in sessions["sends"].answered


async def test_nobody_is_quoted_what_could_not_be_sent() -> None:
    async with opened("asks", "one", "two") as (pooled, sessions):
        (mine,), (other,) = symbols_of(pooled, sessions["one"]), symbols_of(pooled, sessions["two"])

        # Given a sending session that is down: only its own symbols wait
        sessions["one"].is_up = False
        with pytest.raises(TerminalUnavailable, match="one is down"):
            await pooled.quote(a_question(mine))
        await pooled.quote(a_question(other))

        # Or one whose terminal refused an order for what will last
        sessions["one"].is_up = True
        refusal = SendReport(SendStatus.NOT_SENT, NotSentReason.TERMINAL, detail="Algo Trading is off")
        sessions["one"].report_of_send = refusal
        assert await pooled.submit(an_order(mine)) == refusal
        with pytest.raises(TerminalUnavailable, match="Algo Trading"):
            await pooled.quote(a_question(mine))

        # When it says that it is well again, they go on
        async with asyncio.timeout(5):
            while True:
                try:
                    await pooled.quote(a_question(mine))
                except TerminalUnavailable:
                    await asyncio.sleep(0.02)
                else:
                    break
        assert "standing" in sessions["one"].asked


async def test_a_refusal_that_concerns_one_order_alone_stops_no_other() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        sessions["sends"].report_of_send = SendReport(SendStatus.NOT_SENT, NotSentReason.PRICE_MOVED)
        await pooled.submit(an_order())
        await pooled.quote(a_question())


async def test_a_session_that_only_sends_is_asked_how_it_stands() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        sessions["sends"].health_problem = "the terminal is logged out"
        assert await asyncio.to_thread(sessions["sends"].standing_asked.wait, 5)
        await until(lambda: pooled.report()["sends"]["problem"] == "the terminal is logged out")
        assert pooled.report()["sends"]["duty"] == "sends"
        assert pooled.report()["asks"] == {"session": "asks", "problem": None, "duty": "answers"}
        assert sessions["sends"].answered == []


async def test_what_the_senders_may_still_hold_is_told_without_asking_them() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        # Given a sender that said how it stands, and then hangs
        assert await asyncio.to_thread(sessions["sends"].standing_asked.wait, 5)
        sessions["sends"].gate.clear()
        sending = asyncio.create_task(pooled.submit(an_order()))
        await until(lambda: "submit EURUSD" in sessions["sends"].asked)

        search = await pooled.search(a_search("EURUSD"))

        assert set(search.custody) == {"terminal asks", "terminal sends"}
        sessions["sends"].gate.set()
        await sending


async def test_a_single_session_does_everything_sends_first() -> None:
    async with opened("main") as (pooled, sessions):
        sessions["main"].gate.clear()
        asked = [asyncio.create_task(pooled.poll(a_look())) for _ in range(2)]
        await until(lambda: sessions["main"].asked == ["poll"])
        sending = asyncio.create_task(pooled.submit(an_order()))
        await asyncio.sleep(0)
        sessions["main"].gate.set()
        await asyncio.gather(*asked, sending)
        assert sessions["main"].asked == ["poll", "submit EURUSD", "poll"]
        assert pooled.report()["main"]["duty"] == "answers and sends"


async def test_a_question_that_nobody_waits_for_any_more_is_not_asked() -> None:
    async with opened("main") as (pooled, sessions):
        sessions["main"].gate.clear()
        polling = asyncio.create_task(pooled.poll(a_look()))
        await until(lambda: sessions["main"].asked == ["poll"])
        never = asyncio.create_task(pooled.quote(a_question()))
        await asyncio.sleep(0)
        never.cancel()
        await asyncio.gather(never, return_exceptions=True)
        sessions["main"].gate.set()
        await polling
        await pooled.instruments()
        assert sessions["main"].asked == ["poll", "instruments"]


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(FACTS, venue=Venue("native", "S", 8, "demo")),
        replace(FACTS, venue=Venue("native", "T", 7, "demo")),
        replace(FACTS, account_mode="netting"),
    ],
)
async def test_sessions_of_different_accounts_stop_the_start(elsewhere: VenueFacts) -> None:
    pool: Any = Pool("asks", "one", "two")
    pool.sessions["two"].facts = elsewhere
    pooled = PooledTerminal(pool)
    with pytest.raises(WrongSetting, match=r"MT5_SESSIONS: session two is logged in to .* session asks to 7 at S"):
        await pooled.start()
    await pooled.close(patience=1)


async def test_after_its_end_it_says_so() -> None:
    async with opened("asks", "sends") as (pooled, _):
        await pooled.close()
        with pytest.raises(TerminalUnavailable, match="has been closed"):
            await pooled.poll(a_look())
        report = await pooled.submit(an_order())
        assert (report.status, report.reason) == (SendStatus.NOT_SENT, NotSentReason.TERMINAL)
