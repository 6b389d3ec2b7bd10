"""What waits for a terminal at the same moment goes to it together, and each has an answer of its own."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.fixtures.terminal import a_look, a_question, an_order
from tests.unit.mt5.pooled import SENT, Session, opened, until
from worker.domain.errors import TerminalUnavailable
from worker.domain.market import NotSentReason, Poll, SendReport, SendStatus
from worker.mt5 import pace
from worker.mt5.agenda import Urgency
from worker.mt5.mailbox import Mailbox, Reply
from worker.mt5.pace import MOST, Pace
from worker.mt5.terminal import PooledTerminal

SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD")


@pytest.fixture(autouse=True)
def _any_number_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a moment last long, however busy this machine is."""
    monkeypatch.setattr(pace, "MOMENT_SECONDS", 1000.0)


async def begun(*calls: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(call) for call in calls]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def busy_with(pooled: PooledTerminal, session: Session) -> asyncio.Task[Any]:
    """Have it send an order for as long as its gate is closed."""
    session.gate.clear()
    (sending,) = await begun(pooled.submit(an_order("XAUUSD")))
    await until(lambda: bool(session.asked))
    return sending


async def test_orders_that_wait_go_in_one_line_in_the_order_in_which_they_came() -> None:
    async with opened("main") as (pooled, sessions):
        session = sessions["main"]
        first = await busy_with(pooled, session)
        waiting = await begun(*(pooled.submit(an_order(symbol)) for symbol in SYMBOLS))
        session.gate.set()
        assert await asyncio.gather(first, *waiting) == [SENT] * 5
        assert session.lines == [["XAUUSD"], list(SYMBOLS)]


async def test_a_terminal_that_is_slow_gets_each_order_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "MOMENT_SECONDS", 0.0)
    async with opened("main") as (pooled, sessions):
        first = await busy_with(pooled, sessions["main"])
        waiting = await begun(*(pooled.submit(an_order(symbol)) for symbol in SYMBOLS))
        sessions["main"].gate.set()
        await asyncio.gather(first, *waiting)
        assert [len(line) for line in sessions["main"].lines] == [1] * 5


async def test_an_order_s_report_does_not_wait_for_the_others_of_its_line() -> None:
    async with opened("main") as (pooled, sessions):
        session = sessions["main"]
        first = await busy_with(pooled, session)
        one, two = await begun(pooled.submit(an_order("EURUSD")), pooled.submit(an_order("GBPUSD")))
        session.gates["submit GBPUSD"] = threading.Event()
        session.gate.set()
        await asyncio.wait_for(asyncio.gather(first, one), 5)
        assert session.lines[1] == ["EURUSD", "GBPUSD"]
        assert not two.done()
        session.gates["submit GBPUSD"].set()
        await two


async def test_an_order_that_nobody_waits_for_any_more_is_left_out_of_the_line() -> None:
    async with opened("main") as (pooled, sessions):
        first = await busy_with(pooled, sessions["main"])
        waiting = await begun(*(pooled.submit(an_order(symbol)) for symbol in SYMBOLS))
        waiting[1].cancel()
        await asyncio.wait({waiting[1]})
        sessions["main"].gate.set()
        await asyncio.gather(first, *waiting, return_exceptions=True)
        assert sessions["main"].lines[1] == ["EURUSD", "USDJPY", "AUDUSD"]


async def test_what_was_learnt_last_of_a_line_tells_whether_the_next_order_could_be_sent() -> None:
    async with opened("main") as (pooled, sessions):
        first = await busy_with(pooled, sessions["main"])
        waiting = await begun(*(pooled.submit(an_order(symbol)) for symbol in SYMBOLS))
        refusal = SendReport(SendStatus.NOT_SENT, NotSentReason.TERMINAL, detail="Algo Trading is off")
        sessions["main"].report_of_send = refusal
        sessions["main"].gate.set()
        assert (await asyncio.gather(first, *waiting))[1:] == [refusal] * 4
        assert pooled.report()["main"]["problem"] == "Algo Trading is off"


async def test_a_defect_over_a_line_is_told_to_all_whose_orders_were_not_answered() -> None:
    async with opened("main") as (pooled, sessions):
        first = await busy_with(pooled, sessions["main"])
        waiting = await begun(*(pooled.submit(an_order(symbol)) for symbol in SYMBOLS))
        sessions["main"].broken = "a defect"
        sessions["main"].gate.set()
        await asyncio.gather(first, *waiting, return_exceptions=True)
        assert {type(task.exception()) for task in waiting} == {TerminalUnavailable}
        sessions["main"].broken = None
        assert await pooled.submit(an_order()) == SENT, "the lane goes on"


async def test_what_is_queued_when_the_terminal_is_closed_is_not_sent() -> None:
    async with opened("main") as (pooled, sessions):
        first = await busy_with(pooled, sessions["main"])
        waiting = await begun(*(pooled.submit(an_order(symbol)) for symbol in SYMBOLS), pooled.poll(a_look()))
        await pooled.close(patience=2)
        *sends, poll = waiting
        reports = await asyncio.gather(first, *sends)
        assert [report.status for report in reports] == [SendStatus.ANSWERED] + [SendStatus.NOT_SENT] * 4
        with pytest.raises(TerminalUnavailable, match="has been closed"):
            await poll
        assert len(sessions["main"].lines) == 1


@pytest.mark.parametrize(("patience", "place"), [(0.0, 1), (math.inf, 5)])
async def test_what_is_overdue_goes_before_the_orders_that_wait_and_nothing_else_does(
    patience: float, place: int
) -> None:
    async with opened("main") as (pooled, sessions):
        session = sessions["main"]
        first = await busy_with(pooled, session)
        waiting = await begun(*(pooled.submit(an_order(symbol)) for symbol in SYMBOLS))
        asked = Reply[Poll](Mailbox(asyncio.get_running_loop()))
        pooled._lanes[0].put(Urgency.QUESTION, lambda: session.poll(None), asked, patience)
        session.gate.set()
        await asyncio.gather(first, *waiting, asked.future)
        assert session.asked.index("poll") == place


async def test_all_who_wait_for_a_quote_are_asked_for_in_one_command_and_those_who_come_then_in_the_next() -> None:
    async with opened("main") as (pooled, sessions):
        session = sessions["main"]
        sending = await busy_with(pooled, session)
        early = await begun(*(pooled.quote(a_question(symbol)) for symbol in SYMBOLS[:2]))
        later = await begun(pooled.quote(a_question(SYMBOLS[2])))  # while the first are still queued
        gate = session.gates["quote and quote and quote"] = threading.Event()
        session.gate.set()
        await sending
        await until(lambda: session.asked[-1].startswith("quote"))
        next_ones = await begun(*(pooled.quote(a_question(symbol)) for symbol in SYMBOLS))
        gate.set()
        await asyncio.gather(*early, *later, *next_ones)
        assert session.answered[1:] == ["quote and quote and quote", "quote and quote and quote and quote"]


async def test_an_asker_s_trouble_is_his_own_and_who_gave_up_is_not_asked_for() -> None:
    async with opened("main") as (pooled, sessions):
        sending = await busy_with(pooled, sessions["main"])
        sessions["main"].no_quotes_of["GBPUSD"] = TerminalUnavailable("GBPUSD is incomplete")
        one, troubled, gone, last = await begun(*(pooled.quote(a_question(symbol)) for symbol in SYMBOLS))
        gone.cancel()
        await asyncio.wait({gone})
        sessions["main"].gate.set()
        await asyncio.gather(sending, one, last)
        with pytest.raises(TerminalUnavailable, match="GBPUSD is incomplete"):
            await troubled
        assert sessions["main"].answered[1:] == ["quote and quote and quote"]


async def test_when_no_terminal_can_be_asked_all_who_wait_are_told_and_the_next_are_asked_for_again() -> None:
    async with opened("main") as (pooled, sessions):
        sending = await busy_with(pooled, sessions["main"])
        waiting = await begun(*(pooled.quote(a_question(symbol)) for symbol in SYMBOLS))
        sessions["main"].broken = "the connection is lost"
        sessions["main"].gate.set()
        await asyncio.gather(sending, *waiting, return_exceptions=True)
        assert [str(task.exception()) for task in waiting] == ["the connection is lost"] * 4
        sessions["main"].broken = None
        await pooled.quote(a_question())


async def test_a_terminal_with_nothing_to_do_is_asked_by_whoever_asks_and_its_thread_only_waits() -> None:
    async with opened("main") as (pooled, sessions):
        sessions["main"].is_free = True
        sessions["main"].gate.clear()
        (quoting,) = await begun(pooled.quote(a_question()))
        assert sessions["main"].asked_at_once == ["quote"]

        # Given that it is at that: what comes meanwhile waits, in the order of its urgency
        waiting = await begun(pooled.poll(a_look()), pooled.cancel(1, "EURUSD"), pooled.submit(an_order()))
        assert sessions["main"].asked_at_once == ["quote"]
        sessions["main"].gate.set()
        await asyncio.gather(quoting, *waiting)
        assert sessions["main"].asked == ["quote", "submit EURUSD", "cancel 1", "poll"]

        # And when all is done an order goes at once
        await until(lambda: pooled._lanes[0]._is_idle)
        assert await pooled.submit(an_order()) == SENT
        assert sessions["main"].asked_at_once == ["quote", "submit"]


async def test_nothing_is_asked_at_once_before_what_waits_for_the_terminal_s_thread() -> None:
    async with opened("main") as (pooled, sessions):
        sessions["main"].is_free = True
        with pooled._lanes[0]._queued:  # its thread does not come to it
            waiting = await begun(pooled.cancel(1, "EURUSD"), pooled.submit(an_order()), pooled.quote(a_question()))
        await asyncio.gather(*waiting)
        assert sessions["main"].asked_at_once == []
        assert sessions["main"].asked == ["submit EURUSD", "cancel 1", "quote"]


async def test_an_order_that_was_handed_over_at_once_is_answered_though_the_terminal_is_closed_then() -> None:
    async with opened("main") as (pooled, sessions):
        sessions["main"].is_free = True
        with pooled._lanes[0]._queued:
            (sending,) = await begun(pooled.submit(an_order()))
            pooled._lanes[0].close()
        assert await sending == SENT


async def test_a_defect_over_what_was_asked_at_once_is_told_and_the_lane_goes_on() -> None:
    async with opened("main") as (pooled, sessions):
        sessions["main"].is_free, sessions["main"].broken = True, "a defect"
        with pytest.raises(TerminalUnavailable, match="a defect"):
            await pooled.quote(a_question())
        with pytest.raises(TerminalUnavailable, match="a defect"):
            await pooled.submit(an_order())
        sessions["main"].broken = None
        await pooled.quote(a_question())


@pytest.mark.parametrize(("seconds", "at_once"), [(1e-9, MOST), (0.001, 10), (0.02, 1), (5.0, 1)])
def test_as_many_go_together_as_take_a_moment(monkeypatch: pytest.MonkeyPatch, seconds: float, at_once: int) -> None:
    monkeypatch.setattr(pace, "MOMENT_SECONDS", 0.01)
    learnt = Pace()
    for parts in (1, 3, 64, 1, 7) * 20:
        learnt.took(parts * seconds, parts)
    assert abs(learnt.at_once - at_once) <= 1


async def test_answers_that_come_together_wake_the_loop_once_and_none_is_lost() -> None:
    loop = asyncio.get_running_loop()
    woken = 0
    mailbox = Mailbox(loop)
    replies = [Reply[int](mailbox) for _ in range(100)]

    def counted(*arguments: Any) -> None:
        nonlocal woken
        woken += 1
        waking(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        waking = loop.call_soon_threadsafe
        patch.setattr(loop, "call_soon_threadsafe", counted)
        for number, reply in enumerate(replies[:50]):
            reply.bring(number)
        assert woken == 1
    for number, reply in enumerate(replies[50:]):
        await asyncio.to_thread(reply.bring, 50 + number)
    assert await asyncio.gather(*(reply.future for reply in replies)) == list(range(100))
