"""The book outlives processes: several use it at once, any of them may be killed, and time goes on without them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from worker.domain.token import attempt_token, base_token
from worker.mt5 import simulated

if TYPE_CHECKING:
    from tests.unit.mt5.simulated.conftest import Customer

TRADE = base_token(9, 1)
PROGRAM = """
import sys
from pathlib import Path
from worker.mt5 import simulated
mt5 = simulated.module(Path(sys.argv[1]))
assert mt5.initialize(), mt5.last_error()
print("ready", flush=True)
sys.stdin.readline()
mt5.symbol_select(sys.argv[2])
for number in range(int(sys.argv[4])):
    mt5.order_send({"action": 1, "symbol": sys.argv[2], "volume": 0.1, "magic": int(sys.argv[3]), "type_filling": 1})
"""


@contextmanager
def another_process(path: Path, symbol: str, magic: int, orders: int = 1) -> Iterator[subprocess.Popen[str]]:
    """Start a process with a terminal of its own; it sends its orders once a line is written to it."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), symbol, str(magic), str(orders)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_a_killed_hang_was_executed_once_and_the_book_goes_on(customer: Customer, path: Path) -> None:
    with another_process(path, "EURUSD.hang", attempt_token(TRADE, 1)) as process:
        go(process)
        until(lambda: customer.executed("EURUSD.hang") > 0)
        assert customer.send("GBPUSD").retcode == 10009  # nothing is locked while it hangs
        assert process.poll() is None
        process.kill()
        assert process.wait(10) != 0

    (deal,) = customer.mt5.history_deals_get(0, 2_000_000_000, group="EURUSD.hang")
    assert (deal.magic, deal.volume) == (attempt_token(TRADE, 1), 0.1)
    assert customer.send("EURUSD").retcode == 10009


def test_a_killed_hangnot_was_not_executed_and_the_next_attempt_is(customer: Customer, path: Path) -> None:
    with another_process(path, "EURUSD.hangnot", attempt_token(TRADE, 1)) as process:
        go(process)
        until(lambda: bool(customer.book("SELECT * FROM sends")))
        assert process.poll() is None
        process.kill()
        process.wait(10)

    assert customer.executed("EURUSD.hangnot") == 0
    assert customer.send("EURUSD.hangnot", magic=attempt_token(TRADE, 2)).retcode == 10009
    assert customer.executed("EURUSD.hangnot") == 0.1


def test_what_is_due_happens_although_its_process_is_gone(customer: Customer, path: Path) -> None:
    with another_process(path, "EURUSD.slow", attempt_token(TRADE, 1)) as process:
        go(process)
        assert process.wait(30) == 0
    (accepted,) = customer.book("SELECT * FROM orders")
    customer.time_passes(2)

    assert customer.mt5.orders_total() == 0

    (order,) = customer.book("SELECT * FROM orders")
    assert (accepted["state"], order["state"], customer.executed("EURUSD.slow")) == (1, 4, 0.1)


def test_several_processes_share_one_book_from_its_first_moment(path: Path, customer: Customer) -> None:
    fresh = path.with_name("fresh.sqlite")
    with (
        another_process(fresh, "EURUSD", TRADE, 100) as one,
        another_process(fresh, "USDJPY", TRADE, 100) as two,
        another_process(fresh, "XAUUSD.multi", TRADE, 100) as three,
    ):
        for process in (one, two, three):
            go(process)
        assert [process.wait(60) for process in (one, two, three)] == [0, 0, 0]

    customer.path = fresh
    orders = customer.book("SELECT symbol, count(*) AS many FROM orders GROUP BY symbol ORDER BY symbol")
    assert [(row["symbol"], row["many"]) for row in orders] == [("EURUSD", 100), ("USDJPY", 100), ("XAUUSD.multi", 100)]
    assert len(customer.book("SELECT * FROM deals")) == 1 + 100 + 100 + 300
    assert customer.book("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_a_process_killed_anywhere_leaves_whole_orders_only(path: Path, customer: Customer) -> None:
    with another_process(path, "EURUSD.multi", TRADE, 100_000) as process:
        go(process)
        until(lambda: customer.executed("EURUSD.multi") > 2)
        process.kill()
        process.wait(10)

    rows = customer.book(
        "SELECT count(*) AS deals, sum(deals.volume) AS lots FROM orders "
        'LEFT JOIN deals ON deals."order" = orders.ticket GROUP BY orders.ticket'
    )
    assert {(row["deals"], round(row["lots"], 8)) for row in rows} == {(3, 0.1)}
    assert customer.mt5.positions_total() == len(rows)
    assert customer.book("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def _as_written_by_version_4(customer: Customer) -> None:
    for table, moment in (("orders", "time_done_msc"), ("deals", "time_msc")):
        customer.book(f"DROP INDEX {table}_by_time")
        customer.book(f"CREATE INDEX {table}_by_time ON {table} ({moment})")
        customer.book(f"CREATE INDEX {table}_by_magic ON {table} (magic)")
    customer.book("PRAGMA user_version = 4")


def _as_written_by_version_3(customer: Customer) -> None:
    _as_written_by_version_4(customer)
    customer.book("ALTER TABLE meta DROP COLUMN open_at_weekends")
    customer.book("PRAGMA user_version = 3")


def _as_written_by_version_2(customer: Customer) -> None:
    _as_written_by_version_3(customer)
    triggers = customer.book("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'stops%'")
    for trigger in triggers:
        customer.book(f"DROP TRIGGER {trigger['name']}")
    customer.book("ALTER TABLE schedule RENAME TO newer")
    customer.book(
        "CREATE TABLE schedule (id INTEGER PRIMARY KEY, due_utc_msc INTEGER NOT NULL, event TEXT NOT NULL "
        "CHECK (event IN ('fill', 'deal', 'reveal')), order_ticket INTEGER NOT NULL, lots REAL CHECK (lots > 0))"
    )
    customer.book("INSERT INTO schedule SELECT * FROM newer")
    customer.book("DROP TABLE newer")
    customer.book("CREATE INDEX schedule_by_time ON schedule (due_utc_msc)")
    customer.book("CREATE INDEX schedule_by_event ON schedule (event, order_ticket)")
    customer.book("PRAGMA user_version = 2")


def _as_written_by_version_1(customer: Customer) -> None:
    _as_written_by_version_2(customer)
    customer.book("ALTER TABLE meta DROP COLUMN history_ready_utc_msc")
    customer.book("ALTER TABLE schedule DROP COLUMN lots")
    customer.book("PRAGMA user_version = 1")


def test_a_book_of_version_1_is_upgraded_in_its_place(customer: Customer, path: Path) -> None:
    # Given an old book with an order that will be filled soon
    slow = customer.send("EURUSD.slow", 0.5)
    customer.time_passes(-60)  # starting the other terminals takes its time
    questions = [f"SELECT * FROM {table}" for table in ("orders", "deals", "schedule", "meta")]  # noqa: S608 - constants
    before = [customer.book(question) for question in questions]
    customer.mt5.shutdown()
    _as_written_by_version_1(customer)

    # When several terminals of today open it at once
    with another_process(path, "EURUSD", TRADE) as one, another_process(path, "USDJPY", TRADE) as two:
        assert customer.mt5.initialize()
        # Then it has what a new one has, and lost nothing
        assert customer.book("PRAGMA user_version") == [{"user_version": 5}]
        assert [customer.book(question) for question in questions] == before
        for process in (one, two):
            go(process)
            assert process.wait(30) == 0
    customer.deal_later(slow.order, 0.2)
    customer.time_passes(62)
    assert [deal.volume for deal in customer.deals(slow.order)] == [0.2, 0.3]


@pytest.mark.parametrize(
    "as_written_then",
    [_as_written_by_version_1, _as_written_by_version_2, _as_written_by_version_3, _as_written_by_version_4],
)
def test_an_upgraded_book_has_what_a_new_one_has(
    customer: Customer, as_written_then: Callable[[Customer], None]
) -> None:
    def things() -> list[list[dict[str, object]]]:
        columns = [customer.book(f"PRAGMA table_info({table})") for table in ("meta", "schedule")]
        indexes = customer.book("SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name")
        return [*columns, indexes, customer.book("SELECT type, name, tbl_name FROM sqlite_master ORDER BY type, name")]

    new = things()
    customer.mt5.shutdown()
    as_written_then(customer)

    customer.mt5.initialize()

    assert things() == new
    customer.book("INSERT INTO schedule VALUES (1, 0, 'look', 1, NULL)")


def _as_written_by_a_later_program(path: Path) -> str:
    mt5: Any = simulated.module(path)
    mt5.initialize()
    mt5.shutdown()
    _execute(path, "PRAGMA user_version = 6", "ALTER TABLE meta ADD COLUMN invention TEXT")
    return "a book of version 6"


def _of_another_program(path: Path) -> str:
    _execute(path, "CREATE TABLE customers (name TEXT)", "INSERT INTO customers VALUES ('Ann')")
    return "another program's database"


def _of_another_program_with_versions(path: Path) -> str:
    _execute(path, "CREATE TABLE orders (name TEXT)", "PRAGMA user_version = 3")
    return "another program's database"


def _execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    "made", [_as_written_by_a_later_program, _of_another_program, _of_another_program_with_versions]
)
def test_what_is_no_book_of_ours_is_refused_and_left_alone(path: Path, made: Callable[[Path], str]) -> None:
    # Given a file that SQLite can read and we cannot
    reason = made(path)
    before = path.read_bytes()
    mt5: Any = simulated.module(path)

    # When a program connects to it
    connected = mt5.initialize()

    # Then it is told why not, and nothing of the file has changed
    code, words = mt5.last_error()
    assert (connected, code) == (False, -10003)
    assert str(path) in words
    assert reason in words
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("question", "parameters"),
    [
        ("SELECT * FROM deals WHERE time_msc BETWEEN ? AND ? ORDER BY time_msc, ticket", (0, 1)),
        ("SELECT * FROM orders WHERE time_done_msc BETWEEN ? AND ? ORDER BY time_done_msc, ticket", (0, 1)),
        ("SELECT * FROM orders WHERE time_done_msc = 0", ()),
        ('SELECT * FROM deals WHERE "order" = ?', (1,)),
        ("SELECT min(due_utc_msc) FROM schedule", ()),
        ("SELECT * FROM schedule WHERE due_utc_msc <= ? ORDER BY due_utc_msc, id LIMIT 1", (1,)),
        ("DELETE FROM schedule WHERE event = ? AND order_ticket = ?", ("look", 1)),
    ],
)
def test_no_question_reads_a_whole_table(customer: Customer, question: str, parameters: tuple[int, ...]) -> None:
    plan = customer.book("EXPLAIN QUERY PLAN " + question, *parameters)

    assert all("SEARCH" in row["detail"] and "USING" in row["detail"] for row in plan)
