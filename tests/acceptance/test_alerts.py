"""Every alert is seen to fire: a real worker, a real Prometheus with the project's rules, and what goes wrong.

In this Prometheus time runs faster: what people wait minutes for takes seconds, see `hurried`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from signal import SIGCONT, SIGKILL, SIGSTOP

import psycopg
import pytest

from ops.services.places import free_port
from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import START_SECONDS, Desk, eventually
from tests.acceptance.oracle import placed
from tests.acceptance.watched import Watched, watch
from tests.faults.tables import read_tables
from tests.fixtures.rpm import approval
from tests.fixtures.worker_process import WorkerProcess

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.services,
    pytest.mark.usefixtures("prometheus_programs"),
    pytest.mark.timeout(240),
]

READY = '"terminal session ready"'


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(
        HTTP_PORT=str(free_port()),
        UNKNOWN_HORIZON_SECONDS="3",
        ORDER_TIMEOUT_SECONDS="15",
        TERMINAL_CALL_TIMEOUT_SECONDS="2",
        MAX_RETRIES="1",
        MAX_SLIPPAGE_PIPS_BY_SYMBOL='{"GBPUSD.slip": 2.5}',
    ) as desk:
        yield desk


@pytest.fixture(scope="module")
def watched(desk: Desk) -> Iterator[Watched]:
    """Watch a healthy desk at its work: while nothing goes wrong, nothing fires."""
    with watch(desk) as watched:
        for symbol in ("EURUSD", "GBPUSD.slow", "USDJPY.partial"):
            assert desk.confirmed(approval(symbol))["executed_units"] > 0
        watched.stays_calm()
        yield watched


def test_trades_that_go_wrong(watched: Watched) -> None:
    desk = watched.desk
    with watched.tells(
        "TradeUnresolved",
        "TradesStuck",
        "ErrorsRising",
        "RejectionsRising",
        "SlippageExceeded",
        "LateEvidence",
        "ClockWrong",
        "DeadLettersWaiting",
        "DeadLettersGrowing",
        "DeadLetterParked",
    ):
        # What a broker does to single trades
        for symbol in ("EURUSD.nohistory", "EURUSD.pending", "GBPUSD.slip", *["AUDUSD.neversent"] * 3):
            desk.publish(approval(symbol))
        # A cancelled order of which a deal shows up afterwards
        late = desk.publish(approval("USDJPY.pending"))
        ticket = placed(desk, late)
        desk.broker.cancel(ticket)
        assert desk.confirmation(late)["status"] == "cancelled"
        desk.broker.deal(ticket)
        # A closed market
        for _ in range(30):
            desk.publish(approval("EURJPY.closed"))
        # A sender with another clock, then one with a defect
        desk.publish(approval("EURUSD", age=-60.0))
        for number in range(12):
            desk.publish(b'{"decision": "number %d"' % number)
        # A dead letter that the ledger refuses
        with psycopg.connect(desk.settings["POSTGRES_URL"], autocommit=True) as ledger:
            ledger.execute("alter table ledger.dead_letters add constraint taste check (body <> 'poison')")
            desk.publish(b"poison")


def test_a_terminal_that_hangs_and_dies(watched: Watched) -> None:
    worker = watched.desk.worker

    with watched.tells("TerminalDown", "TerminalRestarting"):
        for _ in range(3):
            _kill_session(worker)
        hanging = _freeze_the_next_session(worker)

    os.kill(hanging, SIGCONT)
    watched.desk.trades_again()


def _freeze_the_next_session(worker: WorkerProcess) -> int:
    """Kill the terminal session and freeze the one that follows, while it opens: for that it has more than a minute."""
    opened, [killed] = worker.log.count(READY), worker.sessions
    os.kill(killed, SIGKILL)
    eventually(lambda: worker.sessions not in ([], [killed]), "no session follows", START_SECONDS)
    [follower] = worker.sessions
    os.kill(follower, SIGSTOP)
    assert worker.log.count(READY) == opened
    return follower


def _kill_session(worker: WorkerProcess) -> None:
    """Kill the terminal session, and wait for the next one to be ready."""
    opened = worker.log.count(READY)
    os.kill(worker.sessions[0], SIGKILL)
    eventually(lambda: worker.log.count(READY) > opened, "no session follows", START_SECONDS)


def test_orders_that_the_ledger_never_wrote_and_halts(watched: Watched) -> None:
    desk = watched.desk
    desk.confirmed(approval("EURUSD"))

    with watched.tells("OrphanOrders", "AccountHalted", "SymbolHalted"):
        _place_an_orphan(desk)
        done = desk.command("halt", "--symbol", "XAUUSD", "--reason", "gold is closed early")
        assert done.code == 0, done.said

    for what in ((), ("--symbol", "XAUUSD")):
        done = desk.command("resume", *what, "--reason", "it was a drill")
        assert done.code == 0, done.said
    desk.trades_again()


def _place_an_orphan(desk: Desk) -> None:
    """Let the broker have an order with a token of this ledger, of a trade that this ledger has not had yet."""
    with _change(desk) as book:
        columns = [name for _, name, *_ in book.execute("PRAGMA table_info(orders)")]
        taken = {"ticket": "ticket + 1000000", "magic": "magic + (1 << 20)"}
        copied = ", ".join(taken.get(name, name) for name in columns)
        book.execute(
            f"INSERT INTO orders SELECT {copied} FROM orders ORDER BY ticket DESC LIMIT 1"  # noqa: S608 - its own columns
        )


def test_a_subscriber_whose_queue_is_full(watched: Watched) -> None:
    desk = watched.desk
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}

    with watched.tells("OutboxStuck"):
        desk.rpm.do(lambda channel: channel.queue_declare("full", arguments=full))
        desk.rpm.do(lambda channel: channel.queue_bind("full", "executions", "#"))
        sent = [desk.publish(approval("EURUSD")) for _ in range(3)]

    desk.rpm.do(lambda channel: channel.queue_delete("full"))
    for one in sent:
        desk.confirmation(one)


def test_a_worker_that_dies_and_a_broker_whose_history_has_changed(watched: Watched) -> None:
    # Given a worker that has written down which deal is the newest; it does with its lease, once a second
    desk = watched.desk
    eventually(lambda: _remembered_deal(desk) == _newest_deal(desk), "the newest deal is not remembered")

    with watched.tells("WorkerDown"):
        desk.worker.kill()

    with watched.tells("WorkerNotReady", "ComparisonOld", "AlertRaised"):
        with _change(desk) as book:
            book.execute("DELETE FROM deals WHERE ticket = (SELECT max(ticket) FROM deals)")
        desk.worker.start()

    assert desk.confirmed(approval("EURUSD")).outcome == ("filled", None)


def _remembered_deal(desk: Desk) -> object:
    (account,) = read_tables(desk.settings["POSTGRES_URL"], desk.account).accounts
    return account["newest_deal"]


def _newest_deal(desk: Desk) -> object:
    return max(deal["ticket"] for deal in desk.book.rows("deals"))


def _change(desk: Desk) -> closing[sqlite3.Connection]:
    """Open the broker's book, to change in it what no broker should."""
    return closing(sqlite3.connect(desk.settings["MT5_SIMULATED_BOOK"], isolation_level=None, timeout=10))
