"""
The file of the broker's book: how a new one is made, an old one upgraded, and what is no book refused.

Write-ahead logging lets outside readers look while an order is executed; every change is one short transaction.
With `synchronous = OFF` nothing waits for the disk: a killed process still loses nothing that was committed, because
what it wrote is with the operating system. Only a power failure could spoil the book, and no money is in it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.structs import Struct, TradeDeal, named

PATIENCE_SECONDS = 10.0
OPENING_BALANCE = 1e9
FIRST_DEAL = 70_000_001
_PAGE_BYTES = 1024  # an order touches a dozen pages, and every commit writes them whole
_SCHEMA_VERSION = 5
_UPGRADES = {
    1: (
        "ALTER TABLE meta ADD COLUMN history_ready_utc_msc INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE schedule ADD COLUMN lots REAL CHECK (lots > 0)",
    ),
    # A table's CHECK cannot be altered: the schedule moves into a new one.
    2: (
        "ALTER TABLE schedule RENAME TO schedule_before",
        (
            "CREATE TABLE schedule (id INTEGER PRIMARY KEY, due_utc_msc INTEGER NOT NULL, event TEXT NOT NULL "
            "CHECK (event IN ('fill', 'deal', 'reveal', 'look', 'guard', 'expire')), "
            "order_ticket INTEGER NOT NULL REFERENCES orders (ticket), lots REAL CHECK (lots > 0))"
        ),
        "INSERT INTO schedule SELECT id, due_utc_msc, event, order_ticket, lots FROM schedule_before",
        "DROP TABLE schedule_before",
        "CREATE INDEX schedule_by_time ON schedule (due_utc_msc)",
        "CREATE INDEX schedule_by_event ON schedule (event, order_ticket)",
    ),
    3: ("ALTER TABLE meta ADD COLUMN open_at_weekends INTEGER NOT NULL DEFAULT 1",),
    # Fewer indexes make an order cheaper; those by time answer the look-ups by themselves.
    4: (
        "DROP INDEX orders_by_magic",
        "DROP INDEX deals_by_magic",
        "DROP INDEX orders_by_time",
        "DROP INDEX deals_by_time",
        "CREATE INDEX orders_by_time ON orders (time_done_msc, ticket, symbol)",
        "CREATE INDEX deals_by_time ON deals (time_msc, ticket, symbol)",
    ),
}
_TABLES_OF_EVERY_VERSION = {"meta", "orders", "deals", "positions", "schedule"}


def utc_msc() -> int:
    """Return the present time in UTC milliseconds, rounded up: no deal is dated before the request that caused it."""
    return -(-time.time_ns() // 1_000_000)


def connect(path: Path, margin_mode: int) -> sqlite3.Connection:
    """Open a book, making it (of an account with that margin mode) where there is none; raises DatabaseError."""
    connection = sqlite3.connect(
        path, timeout=PATIENCE_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        _prepare(connection, margin_mode)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, margin_mode: int) -> None:
    _require_a_book(connection)
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a new file; one that is there keeps its own
    _use_write_ahead_log(connection)
    connection.execute("PRAGMA synchronous = OFF")
    if _version(connection) == 0:
        _create(connection, margin_mode)
    if _version(connection) < _SCHEMA_VERSION:
        _upgrade(connection)


def _require_a_book(connection: sqlite3.Connection) -> None:
    """Refuse what is neither empty nor a book that this program can read, before anything in the file is changed."""
    connection.execute("BEGIN")  # one look at it: another process may be making it right now
    version = _version(connection)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.execute("COMMIT")
    if tables and (version == 0 or not tables >= _TABLES_OF_EVERY_VERSION):
        raise sqlite3.DatabaseError("it is another program's database; name a file that does not exist yet")
    if version > _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(
            f"it is a book of version {version}, and this program reads versions up to {_SCHEMA_VERSION}; "
            "name another file, or use the program that wrote it"
        )


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the journal mode; SQLite does not wait by itself for another process that switches it right now."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _create(connection: sqlite3.Connection, margin_mode: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if _version(connection) == 0:  # nobody else was first
        for statement in _schema():
            connection.execute(statement)
        now = utc_msc()
        connection.execute(
            "INSERT INTO meta (only_row, opened_utc_msc, margin_mode) VALUES (1, ?, ?)", (now, margin_mode)
        )
        offset = connection.execute("SELECT server_offset_seconds FROM meta").fetchone()[0]
        deal = _opening_deal(now + offset * 1000)
        connection.execute(f"INSERT INTO deals VALUES ({', '.join('?' * len(deal))})", deal)  # noqa: S608 - placeholders
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _upgrade(connection: sqlite3.Connection) -> None:
    """Bring a book of an earlier version up to date, its rows as they are, its triggers as they are today."""
    connection.execute("BEGIN IMMEDIATE")
    for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    for version in range(_version(connection), _SCHEMA_VERSION):
        for statement in _UPGRADES[version]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version + 1}")
    for statement in _schema():
        if "CREATE TRIGGER" in statement:
            connection.execute(statement)
    connection.execute("COMMIT")


def _schema() -> Iterator[str]:
    """Return today's schema by statements: `executescript` would commit first, and it belongs into one transaction."""
    script = files(__package__).joinpath("book.sql").read_text(encoding="utf-8")
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _opening_deal(server_msc: int) -> Struct:
    return named(
        TradeDeal,
        ticket=FIRST_DEAL,
        order=0,
        time=server_msc // 1000,
        time_msc=server_msc,
        type=mt5.DEAL_TYPE_BALANCE,
        entry=mt5.DEAL_ENTRY_IN,
        magic=0,
        position_id=0,
        reason=mt5.DEAL_REASON_CLIENT,
        volume=0.0,
        price=0.0,
        commission=0.0,
        swap=0.0,
        profit=OPENING_BALANCE,
        fee=0.0,
        symbol="",
        comment="Initial deposit",
        external_id="",
    )
