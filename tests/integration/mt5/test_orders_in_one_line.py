"""Several orders go to a session's process in one line; the process, its terminal or its parent ends in the middle."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pytest

from tests.acceptance.desk import eventually
from tests.fixtures.terminal import a_question, an_order, set_broker
from worker.domain.market import NotSentReason, OrderRequest, Quote, SendReport, SendStatus
from worker.mt5 import file_lock
from worker.mt5.pool import MT5ConnectionPool
from worker.mt5.session import TerminalSession

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="speaks in POSIX signals")

CALL_LIMIT = 1.5  # seconds
SLOW_MS = 600  # of a send; three of them take longer than one call may
ANSWERED, NO_ANSWER, NOT_SENT = SendStatus.ANSWERED, SendStatus.NO_ANSWER, SendStatus.NOT_SENT
_ROOT = Path(__file__).parents[3]


@pytest.fixture
def session(book_file: Path) -> Iterator[TerminalSession]:
    one = {"backend": "simulated", "book": book_file, "timeout": CALL_LIMIT}
    with MT5ConnectionPool({"main": one}, symbols=["EURUSD"]) as pool:
        yield pool.session(30)


def sent(book: Path) -> list[int]:
    """Return the tokens of the orders that have reached the broker, in their order."""
    with closing(sqlite3.connect(book)) as connection:
        return [magic for (magic,) in connection.execute("SELECT magic FROM orders ORDER BY ticket")]


def disturbed(
    session: TerminalSession, orders: Sequence[OrderRequest], after: int, disturb: Callable[[int], None]
) -> list[SendReport]:
    """Send them, and do something to the process when so many are answered and it is at the next one."""
    pid, reports = int(session.report()["pid"]), list[SendReport]()
    for some in session.submit_all(orders):
        reports += some
        if len(reports) == after:
            threading.Timer(SLOW_MS / 4000, disturb, (pid,)).start()
    return reports


def test_each_order_is_answered_before_the_next_one_is_begun_and_has_the_whole_time_limit(
    session: TerminalSession, book_file: Path
) -> None:
    # Given orders that take longer together than a call may
    set_broker(book_file, latency_ms=SLOW_MS)
    orders = [an_order(symbol) for symbol in ("EURUSD", "GBPUSD", "USDJPY")]

    reports = list(chain.from_iterable(session.submit_all(orders)))

    assert [report.status for report in reports] == [ANSWERED] * 3
    assert sent(book_file) == [order.magic for order in orders]
    times = [moment for report in reports for moment in (report.sent_at, report.answered_at)]
    assert times == sorted(moment for moment in times if moment is not None)


def test_an_order_whose_deadline_passes_while_it_waits_for_its_turn_is_not_sent(
    session: TerminalSession, book_file: Path
) -> None:
    set_broker(book_file, latency_ms=SLOW_MS)
    first, second, third = (an_order(symbol) for symbol in ("EURUSD", "GBPUSD", "USDJPY"))
    second = replace(second, send_before=datetime.now(UTC))

    reports = list(chain.from_iterable(session.submit_all([first, second, third])))

    assert [(report.status, report.reason) for report in reports] == [
        (ANSWERED, None),
        (NOT_SENT, NotSentReason.DEADLINE),
        (ANSWERED, None),
    ]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_when_the_process_is_killed_or_frozen_only_the_order_it_was_at_is_in_doubt(
    session: TerminalSession, book_file: Path, how: signal.Signals
) -> None:
    set_broker(book_file, latency_ms=SLOW_MS)
    orders = [an_order(symbol) for symbol in ("EURUSD", "GBPUSD", "USDJPY", "AUDUSD")]

    reports = disturbed(session, orders, after=1, disturb=lambda pid: os.kill(pid, how))

    assert [report.status for report in reports] == [ANSWERED, NO_ANSWER, NOT_SENT, NOT_SENT]
    assert reports[1].answered_at is not None, "after that it hands nothing over any more"
    assert {report.reason for report in reports[2:]} == {NotSentReason.TERMINAL}
    assert set(sent(book_file)) <= {order.magic for order in orders[:2]}

    # And what was not sent can be sent by the next process
    session.ready(30)
    set_broker(book_file, latency_ms=0)
    assert [report.status for report in chain.from_iterable(session.submit_all(orders[2:]))] == [ANSWERED] * 2


def test_a_send_that_hangs_leaves_those_before_it_answered_and_those_behind_it_not_begun(
    session: TerminalSession, book_file: Path
) -> None:
    orders = [an_order(symbol) for symbol in ("EURUSD", "GBPUSD.hang", "USDJPY")]

    reports = list(chain.from_iterable(session.submit_all(orders)))

    assert [report.status for report in reports] == [ANSWERED, NO_ANSWER, NOT_SENT]
    assert sent(book_file) == [order.magic for order in orders[:2]]


def test_what_is_handed_over_at_once_keeps_every_other_call_waiting_until_it_is_answered(
    session: TerminalSession, book_file: Path
) -> None:
    set_broker(book_file, latency_ms=SLOW_MS)
    orders = [an_order(symbol) for symbol in ("EURUSD", "GBPUSD")]
    reports = session.submit_at_once(orders)
    assert reports is not None

    # Given calls from other threads, none of which can take an answer that is not its own
    with ThreadPoolExecutor(3) as others:
        assert session.submit_at_once(orders) is None
        assert session.quotes_at_once([a_question()]) is None
        health, sent_later = others.submit(session.health), others.submit(session.submit, an_order("USDJPY"))
        answered = others.submit(lambda: list(chain.from_iterable(reports)))
        assert [report.status for report in answered.result()] == [ANSWERED] * 2
        assert health.result().problem is None
        assert sent_later.result().status is ANSWERED

    # And then it can be asked at once again, unless somebody keeps it
    wait = session.quotes_at_once([a_question("GBPUSD")])
    assert wait is not None
    (quote,) = wait()
    assert isinstance(quote, Quote)
    assert quote.instrument is not None
    assert quote.instrument.symbol == "GBPUSD"
    with session.lock, ThreadPoolExecutor(1) as other:
        assert other.submit(session.quotes_at_once, [a_question()]).result() is None


def test_when_the_process_is_killed_over_what_was_handed_over_at_once_only_that_order_is_in_doubt(
    session: TerminalSession, book_file: Path
) -> None:
    set_broker(book_file, latency_ms=SLOW_MS)
    orders, pid = [an_order(symbol) for symbol in ("EURUSD", "GBPUSD", "USDJPY")], int(session.report()["pid"])
    reports = session.submit_at_once(orders)
    assert reports is not None
    os.kill(pid, signal.SIGKILL)
    assert [report.status for report in chain.from_iterable(reports)] == [NO_ANSWER, NOT_SENT, NOT_SENT]

    # And the next process is asked as if nothing had been
    session.ready(30)
    set_broker(book_file, latency_ms=0)
    assert session.submit(an_order()).status is ANSWERED


def test_a_line_that_might_wait_for_its_reader_or_has_none_is_not_written_at_once(session: TerminalSession) -> None:
    assert session.submit_at_once([an_order() for _ in range(500)]) is None
    session.close(1)
    assert session.submit_at_once([an_order()]) is None


def test_a_long_line_to_a_frozen_process_reaches_nobody_and_keeps_nobody_waiting_for_ever(
    session: TerminalSession, book_file: Path
) -> None:
    os.kill(int(session.report()["pid"]), signal.SIGSTOP)
    orders = [an_order() for _ in range(500)]  # more than a pipe takes
    reports = list(chain.from_iterable(session.submit_all(orders)))
    assert {report.status for report in reports} == {NOT_SENT}
    assert len(reports) == len(orders)
    assert sent(book_file) == []


_PARENT = """
import sys
from tests.fixtures.terminal import an_order
from worker.mt5 import MT5ConnectionPool
pool = MT5ConnectionPool({{"main": {{"backend": "simulated", "book": {book!r}}}}})
name, session = pool.get_connection(timeout=30)
orders = [an_order(symbol) for symbol in ("EURUSD", "GBPUSD", "USDJPY")]
print(session.report()["pid"], flush=True)
sys.stdin.readline()
for reports in session.submit_all(orders):
    print("answered", flush=True)
"""


def test_when_the_parent_is_killed_the_order_under_way_is_the_last_one(book_file: Path) -> None:
    script, pipe = _PARENT.format(book=str(book_file)), subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], cwd=_ROOT, text=True, stdin=pipe, stdout=pipe) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdout.readline()
        set_broker(book_file, latency_ms=SLOW_MS)
        parent.stdin.write("go\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "answered\n"
        parent.kill()

    # Then the child ends before it begins the third one, and the terminal is free
    file_lock.hold(file_lock.lock_file_of_book(book_file, "main"), patience=10).close()
    eventually(lambda: len(sent(book_file)) == 2, "the order under way was not finished")
