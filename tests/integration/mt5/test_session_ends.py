"""The child process hangs, dies, loses its parent or its terminal: what callers are told, and what never happens."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.desk import eventually
from tests.fixtures.terminal import OpenTerminal, a_look, a_question, an_order, is_over, open_terminal, set_broker
from worker.domain.errors import TerminalUnavailable
from worker.domain.market import NotSentReason, SendStatus
from worker.domain.outcomes import Proof, judge
from worker.mt5 import file_lock
from worker.mt5.pool import MT5ConnectionPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="speaks in POSIX signals and reads /proc")

_ROOT = Path(__file__).parents[3]


async def _is_back(opened: OpenTerminal) -> None:
    """Wait, as the pipeline does, until the terminal answers again."""
    async with asyncio.timeout(20):
        while True:
            try:
                await opened.terminal.quote(a_question())
            except TerminalUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]


def _ends(pid: int, within: float) -> bool:
    give_up_at = time.monotonic() + within
    while _is_alive(pid) and time.monotonic() < give_up_at:
        time.sleep(0.02)
    return not _is_alive(pid)


def _orders_in(book: Path) -> int:
    with closing(sqlite3.connect(book)) as connection:
        count: int = connection.execute("SELECT count(*) FROM orders").fetchone()[0]
        return count


@pytest.mark.parametrize(("suffix", "lots"), [("hang", "0.1"), ("hangnot", "0")])
async def test_a_send_that_never_returns_is_ambiguous_and_the_next_command_works(
    impatient_terminal: OpenTerminal, suffix: str, lots: str
) -> None:
    pid, order = impatient_terminal.pid, an_order(f"EURUSD.{suffix}")

    report = await impatient_terminal.terminal.submit(order)

    assert report.status is SendStatus.NO_ANSWER
    assert judge(report).proof is Proof.AMBIGUOUS
    assert not _is_alive(pid)
    await _is_back(impatient_terminal)
    assert impatient_terminal.pid != pid
    if lots != "0":
        assert str((await impatient_terminal.news_of(order).until(is_over)).lots) == lots
    assert impatient_terminal.terminal.report()["main"]["restarts"] == 1


async def test_while_it_restarts_questions_fail_at_once_and_sends_are_known_not_to_have_left(
    impatient_terminal: OpenTerminal,
) -> None:
    terminal = impatient_terminal.terminal
    hanging = asyncio.create_task(terminal.submit(an_order("EURUSD.hang")))
    await asyncio.sleep(0)
    second = await terminal.submit(an_order())
    assert (second.status, second.reason) == (SendStatus.NOT_SENT, NotSentReason.TERMINAL)
    with pytest.raises(TerminalUnavailable, match="did not answer within"):
        await terminal.quote(a_question())
    assert (await hanging).status is SendStatus.NO_ANSWER


async def test_a_killed_child_is_replaced(own_terminal: OpenTerminal) -> None:
    os.kill(own_terminal.pid, signal.SIGKILL)
    await _is_back(own_terminal)
    assert (await own_terminal.terminal.submit(an_order())).status is SendStatus.ANSWERED


async def test_a_child_killed_during_a_send_leaves_the_outcome_open(own_terminal: OpenTerminal) -> None:
    set_broker(own_terminal.book, latency_ms=2000)
    order = an_order()
    sending = asyncio.create_task(own_terminal.terminal.submit(order))
    await asyncio.sleep(0.3)

    os.kill(own_terminal.pid, signal.SIGKILL)

    assert (await sending).status is SendStatus.NO_ANSWER


async def test_a_stopped_child_is_ended_at_the_time_limit(impatient_terminal: OpenTerminal) -> None:
    pid = impatient_terminal.pid
    os.kill(pid, signal.SIGSTOP)
    assert (await impatient_terminal.terminal.submit(an_order())).status is SendStatus.NO_ANSWER
    assert not _is_alive(pid)
    await _is_back(impatient_terminal)


async def test_polite_signals_do_not_end_a_child(own_terminal: OpenTerminal) -> None:
    pid = own_terminal.pid
    for polite in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, polite)
    await own_terminal.terminal.quote(a_question())
    assert own_terminal.pid == pid


async def test_a_new_child_tells_all_news_again(own_terminal: OpenTerminal) -> None:
    order = an_order()
    await own_terminal.terminal.submit(order)
    first = await own_terminal.news_of(order).until(is_over)
    os.kill(own_terminal.pid, signal.SIGKILL)
    await _is_back(own_terminal)
    second = await own_terminal.news_of(order).until(is_over)
    assert second.deals == first.deals


@pytest.mark.parametrize(
    ("switch", "word"),
    [
        ({"connected": 0}, "disconnected"),
        ({"trade_allowed": 0}, "Algo Trading"),
        ({"tradeapi_disabled": 1}, "other programs"),
    ],
)
async def test_a_terminal_that_may_not_trade_says_why(
    own_terminal: OpenTerminal, switch: dict[str, float], word: str
) -> None:
    set_broker(own_terminal.book, **switch)
    health = (await own_terminal.terminal.quote(a_question())).health
    assert word in str(health.problem)
    assert not (health.trade_allowed and health.connected)
    report = await own_terminal.terminal.submit(an_order())
    assert (report.status, report.reason) == (SendStatus.NOT_SENT, NotSentReason.TERMINAL)
    assert (await own_terminal.terminal.poll(a_look())).readable is ("connected" not in switch)
    with pytest.raises(TerminalUnavailable, match=word):
        await own_terminal.terminal.cancel(1, "EURUSD")


async def test_a_closed_terminal_sends_nothing(own_terminal: OpenTerminal) -> None:
    pid = own_terminal.pid
    await own_terminal.terminal.close()
    assert not _is_alive(pid)
    assert (await own_terminal.terminal.submit(an_order())).reason is NotSentReason.TERMINAL
    with pytest.raises(TerminalUnavailable, match="closed"):
        await own_terminal.terminal.quote(a_question())


async def test_closing_waits_for_a_send_but_not_for_ever(own_terminal: OpenTerminal) -> None:
    set_broker(own_terminal.book, latency_ms=400)
    in_time = asyncio.create_task(own_terminal.terminal.submit(an_order()))
    await asyncio.sleep(0.1)
    await own_terminal.terminal.close(patience=5)
    assert (await in_time).status is SendStatus.ANSWERED


async def test_closing_ends_a_hanging_send_after_its_patience(own_terminal: OpenTerminal) -> None:
    hanging = asyncio.create_task(own_terminal.terminal.submit(an_order("EURUSD.hang")))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await own_terminal.terminal.close(patience=0.5)
    assert time.monotonic() - began < 5
    assert (await hanging).status is SendStatus.NO_ANSWER


async def test_the_more_urgent_goes_first(own_terminal: OpenTerminal) -> None:
    """A poll that was asked for before an order is made after it."""
    set_broker(own_terminal.book, latency_ms=100)
    terminal, order = own_terminal.terminal, an_order()
    first = asyncio.create_task(terminal.submit(an_order()))
    await asyncio.sleep(0.05)
    poll = asyncio.create_task(terminal.poll(a_look()))
    await asyncio.sleep(0)
    report = await terminal.submit(order)
    await first
    assert report.order_ticket in {seen.ticket for seen in (await poll).orders}


async def test_a_cancelled_task_does_not_send(own_terminal: OpenTerminal) -> None:
    set_broker(own_terminal.book, latency_ms=300)
    first = asyncio.create_task(own_terminal.terminal.submit(an_order()))
    await asyncio.sleep(0.05)
    never = asyncio.create_task(own_terminal.terminal.submit(an_order()))
    await asyncio.sleep(0.05)
    never.cancel()
    await first
    await own_terminal.terminal.quote(a_question())
    assert _orders_in(own_terminal.book) == 1


async def test_a_terminal_in_use_is_not_opened_twice(book_file: Path) -> None:
    async with open_terminal(book_file):
        second = MT5ConnectionPool({"main": {"backend": "simulated", "book": book_file}})
        try:
            with pytest.raises(TerminalUnavailable, match="another process is using this terminal"):
                await asyncio.to_thread(second.get_connection, 5)
        finally:
            second.close()


async def test_two_sessions_of_one_account_stand_side_by_side(book_file: Path) -> None:
    one = {"backend": "simulated", "book": book_file}
    with MT5ConnectionPool({"a": one, "b": one}) as pool:
        first = await asyncio.to_thread(pool.get_connection, 20)
        second = await asyncio.to_thread(pool.get_connection, 20)
        assert {first[0], second[0]} == {"a", "b"}
        with pytest.raises(TerminalUnavailable, match="release_connection"):
            pool.get_connection(timeout=0.01)
        pool.release_connection(first)
        assert pool.get_connection(timeout=1)[0] == first[0]


def _why_not(pool: MT5ConnectionPool) -> str:
    with pytest.raises(TerminalUnavailable) as refused:
        pool.get_connection(timeout=0.1)
    return str(refused.value)


def test_a_session_takes_its_terminal_over_as_soon_as_it_is_free(book_file: Path) -> None:
    # Given a session that waits for a terminal that another process uses
    held = file_lock.hold(file_lock.lock_file_of_book(book_file, "main"), patience=1)
    with MT5ConnectionPool({"main": {"backend": "simulated", "book": book_file}}) as pool:
        eventually(
            lambda: "another process is using this terminal" in _why_not(pool), "the session does not say what it is at"
        )

        # When the other one ends
        held.close()
        began = time.monotonic()

        # Then it has it within a second, from the same child process
        pool.release_connection(pool.get_connection(timeout=10))
        assert time.monotonic() - began < 1
        assert pool.sessions["main"].report()["restarts"] == 0


async def test_a_child_that_hears_nothing_ends_and_another_begins(book_file: Path) -> None:
    session = {"backend": "simulated", "book": book_file, "silence_limit": 0.5}
    with MT5ConnectionPool({"main": session}) as pool:
        _, session_ = await asyncio.to_thread(pool.get_connection, 20)
        pid = session_.report()["pid"]

        # As long as it is asked, it stays
        for _ in range(10):
            session_.health()
            await asyncio.sleep(0.1)
        assert session_.report()["pid"] == pid

        # When it is not, it ends
        assert await asyncio.to_thread(_ends, pid, 5)


async def test_a_session_that_is_not_ready_stands_in_nobody_s_way(book_file: Path) -> None:
    # Given two sessions of which one waits for its terminal, and the other one is lent
    held = file_lock.hold(file_lock.lock_file_of_book(book_file, "a"), patience=1)
    one = {"backend": "simulated", "book": book_file}
    with MT5ConnectionPool({"a": one, "b": one}) as pool:
        lent = await asyncio.to_thread(pool.get_connection, 20)
        assert lent[0] == "b"

        # When somebody waits, and the one that is lent is given back
        waiting = asyncio.create_task(asyncio.to_thread(pool.get_connection, 20))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        pool.release_connection(lent)

        # Then that one is had
        assert (await asyncio.wait_for(waiting, 5))[0] == "b"
        held.close()


async def test_who_waits_for_a_pool_that_is_closed_is_told_at_once(book_file: Path) -> None:
    held = file_lock.hold(file_lock.lock_file_of_book(book_file, "main"), patience=1)
    pool = MT5ConnectionPool({"main": {"backend": "simulated", "book": book_file}})
    waiting = asyncio.create_task(asyncio.to_thread(pool.get_connection, 60))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(pool.close)
    with pytest.raises(TerminalUnavailable, match="closed"):
        await asyncio.wait_for(waiting, 1)
    held.close()


_PARENT = """
import sys, threading
from tests.fixtures.terminal import an_order
from worker.mt5 import MT5ConnectionPool
session = {{"backend": "simulated", "book": {book!r}, "timeout": {limit}, "silence_limit": {silence}}}
pool = MT5ConnectionPool({{"main": session}})
name, session = pool.get_connection(timeout=30)
print(session.report()["pid"], flush=True)
sys.stdin.readline()
threading.Thread(target=lambda: session.submit(an_order("{symbol}"))).start()
threading.Timer(0.2, lambda: session.submit(an_order("GBPUSD"))).start()
print("sending", flush=True)
"""


def _parent_that_dies_while_sending(book: Path, symbol: str, limit: float, *, latency_ms: float) -> int:
    """Start another parent, kill it in the middle of a send, and return its child's process number."""
    script = _PARENT.format(book=str(book), symbol=symbol, limit=limit, silence=None)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], cwd=_ROOT, text=True, stdin=pipe, stdout=pipe) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        set_broker(book, latency_ms=latency_ms)
        parent.stdin.write("go\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "sending\n"
        time.sleep(0.5)
        parent.kill()
    return child


def test_a_child_whose_parent_is_killed_finishes_its_send_and_takes_no_other_command(book_file: Path) -> None:
    child = _parent_that_dies_while_sending(book_file, "EURUSD", 30, latency_ms=1500)
    assert _is_alive(child)
    assert _ends(child, within=5)
    with closing(sqlite3.connect(book_file)) as connection:
        assert connection.execute("SELECT symbol FROM orders").fetchall() == [("EURUSD",)]


def test_a_child_that_hangs_without_a_parent_ends_itself_so_that_its_lock_becomes_free(book_file: Path) -> None:
    child = _parent_that_dies_while_sending(book_file, "EURUSD.hang", 1, latency_ms=0)
    assert _ends(child, within=8)
    file_lock.hold(file_lock.lock_file_of_book(book_file, "main"), patience=1).close()


def test_a_child_of_a_frozen_parent_ends_and_executes_nothing_that_comes_afterwards(book_file: Path) -> None:
    # Given a parent that is frozen while it does not send
    script = _PARENT.format(book=str(book_file), symbol="EURUSD", limit=5, silence=1)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], cwd=_ROOT, text=True, stdin=pipe, stdout=pipe) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGSTOP)

        # Then its session ends, and the terminal is free
        assert _ends(child, within=5)
        lock = file_lock.hold(file_lock.lock_file_of_book(book_file, "main"), patience=1)

        # When it wakes up and sends, nothing reaches the broker
        parent.stdin.write("go\n")
        parent.stdin.flush()
        parent.send_signal(signal.SIGCONT)
        assert parent.stdout.readline() == "sending\n"
        time.sleep(0.5)
        parent.kill()
        assert _orders_in(book_file) == 0
        lock.close()
