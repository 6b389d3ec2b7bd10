"""
The broker's book: one SQLite file that several processes may use at once and that survives their deaths.

Write-ahead logging lets outside readers look while an order is executed; every change is one short transaction.
With `synchronous = OFF` nothing waits for the disk: a killed process still loses nothing that was committed, because
what it wrote is with the operating system. Only a power failure could spoil the book, and no money is in it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.structs import Struct, TradeDeal, TradeOrder, TradePosition, named

PATIENCE_SECONDS = 10.0
OPENING_BALANCE = 1e9
FIRST_DEAL = 70_000_001
_SCHEMA_VERSION = 4
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
}
_TABLES_OF_EVERY_VERSION = {"meta", "orders", "deals", "positions", "schedule"}
_SIGNED = 1 << 63


class Meta(NamedTuple):
    """The book's own settings: what may be changed from outside, and the running balance."""

    login: int
    server: str
    leverage: int
    margin_mode: int
    server_offset_seconds: int
    latency_ms: float
    connected: int
    trade_allowed: int
    tradeapi_disabled: int
    opened_utc_msc: int
    balance: float
    history_ready_utc_msc: int
    open_at_weekends: int

    @property
    def hedging(self) -> bool:
        """Tell whether every order opens a position of its own."""
        return self.margin_mode == mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING


_READ_META = f"SELECT {', '.join(Meta._fields)} FROM meta"  # noqa: S608 - the names are those of the class above
_TABLES = {TradeOrder: "orders", TradeDeal: "deals", TradePosition: "positions"}
_INSERT = {
    struct: f"INSERT INTO {table} VALUES ({', '.join('?' * len(struct.__match_args__))})"  # noqa: S608 - constants
    for struct, table in _TABLES.items()
}


def utc_msc() -> int:
    """Return the present time in UTC milliseconds, rounded up: no deal is dated before the request that caused it."""
    return -(-time.time_ns() // 1_000_000)


class Book:
    """
    An open book. Not for several threads at once: the terminal's pipe serializes its calls.

    A new one is of a hedging account, or of a netting one; an old one stays what it is.
    """

    def __init__(self, path: Path, *, netting: bool = False) -> None:
        mode = mt5.ACCOUNT_MARGIN_MODE_RETAIL_NETTING if netting else mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING
        self._connection = _connect(path, mode)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all or nothing, alone among the writers."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def meta(self) -> Meta:
        """Read the settings as they are now."""
        return Meta(*self._connection.execute(_READ_META).fetchone())

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Read rows as plain tuples."""
        return self._connection.execute(sql, parameters).fetchall()

    def value(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """Read a single value; None when there is no row."""
        row = self._connection.execute(sql, parameters).fetchone()
        return row and row[0]

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Change rows."""
        self._connection.execute(sql, parameters)

    def select(self, struct: type[Struct], where: str, parameters: Sequence[Any] = ()) -> list[Struct]:
        """Read orders, deals or positions as their structures."""
        sql = f"SELECT * FROM {_TABLES[struct]} WHERE {where}"  # noqa: S608 - `where` is always a constant of ours
        rows = self._connection.execute(sql, parameters)
        magic = struct.__match_args__.index("magic")
        return [struct(row if row[magic] >= 0 else _unsigned(row, magic)) for row in rows]

    def insert(self, row: Struct) -> None:
        """Write a new order, deal or position."""
        self._connection.execute(_INSERT[type(row)], row if row.magic < _SIGNED else _signed(row))


def stored(unsigned: int) -> int:
    """Return an unsigned 64-bit number as SQLite keeps it: with a sign."""
    return unsigned - 2 * _SIGNED if unsigned >= _SIGNED else unsigned


def _signed(row: Struct) -> tuple[Any, ...]:
    return tuple((row._asdict() | {"magic": stored(row.magic)}).values())


def _unsigned(row: tuple[Any, ...], place: int) -> tuple[Any, ...]:
    return (*row[:place], row[place] + 2 * _SIGNED, *row[place + 1 :])


def _connect(path: Path, margin_mode: int) -> sqlite3.Connection:
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
        connection.execute(_INSERT[TradeDeal], _opening_deal(now + offset * 1000))
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
