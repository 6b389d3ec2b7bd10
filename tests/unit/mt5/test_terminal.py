"""Several sessions of one account: the first answers, the others send; no question ever stands before a send."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.fixtures.terminal import a_look, a_question, a_search, an_order
from tests.unit.mt5.pooled import FACTS, HEALTHY, SENT, Pool, opened, symbols_of, until
from worker.domain.errors import TerminalUnavailable, WrongSetting
from worker.domain.execution import Venue
from worker.domain.market import (
    BrokerOrder,
    Health,
    NotSentReason,
    SendReport,
    SendStatus,
)
from worker.mt5.lane import STUCK_SECONDS
from worker.mt5.terminal import PooledTerminal
from worker.mt5.wire import VenueFacts


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


async def test_a_light_question_that_a_session_hangs_over_is_put_to_another() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        sessions["asks"].gate.clear()
        await pooled.quote(a_question())
        assert (sessions["asks"].answered, sessions["sends"].answered) == (["quote"], ["quote"])
        sessions["asks"].gate.set()


@pytest.mark.parametrize("call", ["poll", "search"])
async def test_a_poll_and_a_search_stay_with_the_session_that_makes_them(call: str) -> None:
    # A poll tells each change once: what it brings must not be thrown away. A search may take long, and must not stand
    # before the sends of another terminal.
    async with opened("asks", "sends") as (pooled, sessions):
        sessions["asks"].gate.clear()
        asking = asyncio.create_task(pooled.poll(a_look()) if call == "poll" else pooled.search(a_search()))
        await asyncio.sleep(1.5 * STUCK_SECONDS)
        assert not asking.done()
        sessions["asks"].gate.set()
        await asking
        assert (sessions["asks"].answered, sessions["sends"].answered) == ([call], [])


async def test_a_question_that_takes_long_everywhere_is_answered_all_the_same() -> None:
    async with opened("asks", "one", "two") as (pooled, sessions):
        for session in sessions.values():
            session.gate.clear()
        quoting = asyncio.create_task(pooled.quote(a_question()))

        # Given that nobody answers for much longer than it takes to ask another one
        await asyncio.sleep(2.5 * STUCK_SECONDS)
        sessions["asks"].gate.set()

        # Then the first answer counts, and no session has been asked twice
        await asyncio.wait_for(quoting, 1)
        assert max(len(session.answered) for session in sessions.values()) == 1


@pytest.mark.parametrize("call", ["quote", "poll", "search"])
async def test_a_question_moves_on_when_the_pipe_of_the_first_terminal_is_broken(call: str) -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        sessions["asks"].broken = "the connection to the terminal is lost"
        asked: dict[str, Callable[[], Awaitable[object]]] = {
            "quote": lambda: pooled.quote(a_question()),
            "poll": lambda: pooled.poll(a_look()),
            "search": lambda: pooled.search(a_search()),
        }
        await asked[call]()
        assert call in sessions["sends"].answered


async def test_when_nobody_can_answer_the_reason_is_told() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        for name, session in sessions.items():
            session.broken = f"{name} is broken"
        with pytest.raises(TerminalUnavailable, match="is broken"):
            await pooled.poll(a_look())
        with pytest.raises(TerminalUnavailable, match="is broken"):
            await pooled.quote(a_question())


@pytest.mark.parametrize(
    "health",
    [
        replace(HEALTHY, connected=False, problem="the terminal is disconnected from the trade server"),
        replace(HEALTHY, login=8, problem="the terminal is logged in to 8"),
    ],
)
async def test_who_does_not_see_the_account_is_not_asked_about_it(health: Health) -> None:
    async with opened("asks", "one", "two") as (pooled, sessions):
        # Given a first terminal that has lost the account, as one answer of it has shown
        sessions["asks"].health = health
        await pooled.poll(a_look())
        sessions["asks"].asked.clear()

        # Then another one answers all, until the first one is well again
        assert (await pooled.quote(a_question())).health == HEALTHY
        assert (await pooled.poll(a_look())).readable
        await pooled.search(a_search())
        assert sessions["asks"].answered == []
        sessions["asks"].health = HEALTHY
        await until(lambda: "standing" in sessions["asks"].asked)
        await pooled.poll(a_look())
        assert sessions["asks"].answered == ["poll"]


async def test_what_may_be_sent_is_judged_by_the_terminal_that_sends_it() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        # Given that the first terminal sees the account, and may not trade itself
        sessions["asks"].health = replace(HEALTHY, trade_allowed=False, problem="Algo Trading is off")
        quote = await pooled.quote(a_question())
        assert quote.health.problem is None

        # But not when its prices may be old
        sessions["asks"].health = replace(HEALTHY, connected=False, problem="disconnected")
        assert (await pooled.quote(a_question())).health.problem == "disconnected"


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
        sessions["sends"].health = replace(HEALTHY, problem="the terminal is logged out")
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


async def test_a_terminal_that_is_named_looks_itself_beside_the_one_that_answers() -> None:
    async with opened("asks", "one", "two") as (pooled, sessions):
        # Given an order that only the terminal which sent it shows
        order = BrokerOrder(7, 1, "EURUSD", 1, Decimal(1), Decimal(1), 0, "", historical=False)
        sessions["two"].orders = (order,)

        search = await pooled.search(a_search("EURUSD", senders=frozenset({"terminal asks", "terminal two"})))

        assert search.orders == (order,)
        assert search.looked_by == {"terminal asks", "terminal two"}
        assert [session.answered for session in sessions.values()] == [["search"], [], ["search"]]


async def test_a_terminal_that_could_read_nothing_is_not_asked_again_by_the_same_search() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        for session in sessions.values():
            session.readable = False
        search = await pooled.search(a_search("EURUSD", senders=frozenset({"terminal asks", "terminal sends"})))
        assert not search.readable
        assert [session.answered for session in sessions.values()] == [["search"], ["search"]]


async def test_a_look_of_a_terminal_s_own_stands_before_no_send_and_holds_up_no_search() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        # Given a terminal that is kept busy by sends
        sessions["sends"].gate.clear()
        sending = [asyncio.create_task(pooled.submit(an_order())) for _ in range(2)]
        await until(lambda: "submit EURUSD" in sessions["sends"].asked)

        search = await asyncio.wait_for(pooled.search(a_search("EURUSD", senders=frozenset({"terminal sends"}))), 5)

        assert search.readable
        assert search.looked_by == {"terminal asks"}
        assert not search.away
        sessions["sends"].gate.set()
        await asyncio.gather(*sending)
        assert "search" not in sessions["sends"].asked


async def test_a_terminal_that_did_not_come_to_its_own_look_is_given_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.mt5.terminal.STUCK_SECONDS", 0.05)
    async with opened("asks", "sends") as (pooled, sessions):
        # Given a terminal that did not come to its look in several searches, for a send takes it so long
        wanted = a_search("EURUSD", senders=frozenset({"terminal sends"}))
        sessions["sends"].gate.clear()
        sending = asyncio.create_task(pooled.submit(an_order()))
        await until(lambda: "submit EURUSD" in sessions["sends"].asked)
        for _ in range(5):
            assert (await pooled.search(wanted)).looked_by == {"terminal asks"}

        # Then the next search waits for it so much longer that it comes to it
        searching = asyncio.create_task(pooled.search(wanted))
        await until(lambda: len(sessions["asks"].answered) == 6)
        sessions["sends"].gate.set()
        assert (await searching).looked_by == {"terminal asks", "terminal sends"}
        await sending


async def test_a_terminal_that_is_away_is_told_as_such_and_keeps_no_search_waiting() -> None:
    async with opened("asks", "sends") as (pooled, sessions):
        sessions["sends"].is_up = False
        search = await pooled.search(a_search("EURUSD", senders=frozenset({"terminal sends"})))
        assert search.readable
        assert search.looked_by == {"terminal asks"}
        assert search.away == {"terminal sends"}
        assert set(search.custody) == {"terminal asks", "terminal sends"}


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


async def test_a_quote_goes_before_the_poll_that_waits_and_an_order_before_both() -> None:
    async with opened("main") as (pooled, sessions):
        sessions["main"].gate.clear()
        first = asyncio.create_task(pooled.poll(a_look()))
        await until(lambda: sessions["main"].asked == ["poll"])
        waiting = [
            asyncio.create_task(call)
            for call in (pooled.poll(a_look()), pooled.quote(a_question()), pooled.submit(an_order()))
        ]
        for _ in range(3):  # the round of quotes is a task of its own
            await asyncio.sleep(0)
        sessions["main"].gate.set()
        await asyncio.gather(first, *waiting)
        assert sessions["main"].asked == ["poll", "submit EURUSD", "quote", "poll"]


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


async def test_the_first_that_is_open_is_enough_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.mt5.terminal.LATECOMERS_SECONDS", 0.05)
    pool: Any = Pool("asks", "one", "two")
    sessions = pool.sessions
    for name in ("asks", "two"):
        sessions[name].came_up.clear()
    pooled = PooledTerminal(pool)

    # Given that one of three terminals is open
    assert await pooled.start(1) == FACTS
    (mine,), (other,) = symbols_of(pooled, sessions["one"]), symbols_of(pooled, sessions["two"])

    # Then its symbols trade, and those of another wait for it
    await pooled.quote(a_question(mine))
    assert await pooled.submit(an_order(mine)) == SENT
    with pytest.raises(TerminalUnavailable):
        await pooled.quote(a_question(other))
    assert (await pooled.submit(an_order(other))).status is SendStatus.NOT_SENT

    # And when it has come, it takes part
    sessions["two"].came_up.set()
    await until(lambda: pooled.report()["two"]["problem"] is None)
    await pooled.quote(a_question(other))
    assert await pooled.submit(an_order(other)) == SENT
    await pooled.close(patience=1)


async def test_a_single_session_that_is_lost_while_it_starts_takes_part_when_it_is_back() -> None:
    pool: Any = Pool("main")
    session, pooled = pool.sessions["main"], PooledTerminal(pool)

    def shown_and_lost(_patience: float) -> VenueFacts:
        session.is_up = False
        return FACTS

    session.ready = shown_and_lost
    assert await pooled.start() == FACTS
    session.is_up = True
    assert (await pooled.poll(a_look())).readable
    await pooled.close(patience=1)


async def test_without_any_open_terminal_there_is_no_start() -> None:
    pool: Any = Pool("asks", "one")
    for session in pool.sessions.values():
        session.came_up.clear()
    pooled = PooledTerminal(pool)
    with pytest.raises(TerminalUnavailable, match="asks is down"):
        await pooled.start(0.01)
    await pooled.close(patience=1)


async def test_a_latecomer_of_another_account_never_takes_part(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("worker.mt5.terminal.LATECOMERS_SECONDS", 0.05)
    pool: Any = Pool("asks", "one", "two")
    two = pool.sessions["two"]
    two.came_up.clear()
    two.facts = replace(FACTS, venue=Venue("native", "S", 8, "demo"))
    pooled = PooledTerminal(pool)
    await pooled.start(1)
    (its,) = symbols_of(pooled, two)

    # When it comes up logged in elsewhere
    two.came_up.set()
    await until(lambda: "is logged in to 8 at S" in (pooled.report()["two"]["problem"] or ""))

    # Then it is not asked and sends nothing, and a person is told
    report = await pooled.submit(an_order(its))
    assert (report.status, report.reason) == (SendStatus.NOT_SENT, NotSentReason.TERMINAL)
    with pytest.raises(TerminalUnavailable, match="is logged in to 8 at S"):
        await pooled.cancel(1, its)
    for name in ("asks", "one"):
        pool.sessions[name].is_up = False
    with pytest.raises(TerminalUnavailable):
        await pooled.poll(a_look())
    assert two.answered == []
    assert sum("terminal_of_another_account" in record.getMessage() for record in caplog.records) == 1
    await pooled.close(patience=1)


async def test_the_problem_of_a_single_session_is_gone_when_it_is_well_again() -> None:
    async with opened("main") as (pooled, sessions):
        refusal = SendReport(SendStatus.NOT_SENT, NotSentReason.TERMINAL, detail="Algo Trading is off")
        sessions["main"].report_of_send = refusal
        await pooled.submit(an_order())
        assert pooled.report()["main"]["problem"] == "Algo Trading is off"
        await pooled.poll(a_look())
        assert pooled.report()["main"]["problem"] is None


async def test_after_its_end_it_says_so() -> None:
    async with opened("asks", "sends") as (pooled, _):
        await pooled.close()
        with pytest.raises(TerminalUnavailable, match="has been closed"):
            await pooled.poll(a_look())
        report = await pooled.submit(an_order())
        assert (report.status, report.reason) == (SendStatus.NOT_SENT, NotSentReason.TERMINAL)
