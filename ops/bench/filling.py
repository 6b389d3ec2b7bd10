"""Fills the ledger of a worker that is not running, as if it had worked for a month."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib.resources import files
from types import MappingProxyType
from typing import LiteralString

import psycopg
from psycopg import sql

from ops.bench.trail import Trail

SPREAD = timedelta(days=30)  # over which the copies lie
_TRADES = MappingProxyType(  # the tables of trades, and in which order their rows are written
    {"executions": "received_at", "attempts": "written_at", "deals": "deal_id", "confirmations": "created_at"}
)
_WITHOUT_TRADES = {"accounts", "namespaces", "transitions", "migrations"}
_UNHINDERED = "-c session_replication_role=replica -c synchronous_commit=off"  # no foreign keys, no wait for the disk

_MOVED: LiteralString = "bench.moved(execution_id, %(earlier)s)"
_CHANGED: MappingProxyType[str, LiteralString] = MappingProxyType(  # a copy's columns that are not the original's
    {
        "execution_id": _MOVED,
        "trade_id": "bench.another(trade_id, %(distance)s)",
        "rpm_order_id": "bench.another(rpm_order_id, %(distance)s)",
        "correlation_id": "bench.another(correlation_id, %(distance)s)",
        "message_id": f"{_MOVED} || ':' || version",
        "executions.body": "bench.renamed(body, trade_id, bench.another(trade_id, %(distance)s))",
        "confirmations.body": f"bench.renamed(body, execution_id::text, {_MOVED}::text)",
        "token": "token + %(tokens)s",
        "magic": "magic + %(tokens)s",
        "order_ticket": "order_ticket - %(tickets)s",
        "order_id": "order_id - %(tickets)s",
        "position_id": "position_id - %(tickets)s",
        "deal_id": "deal_id - %(tickets)s",
    }
)


@dataclass(frozen=True)
class Copy:
    """By how much one copy of all trades differs from the originals."""

    distance: int
    earlier: timedelta
    tickets: int
    tokens: int

    def __str__(self) -> str:
        return f"{self.earlier.days} days ago"


def fill(postgres_url: str, executions: int, going_through: Callable[[Sequence[Copy]], Iterable[Copy]] = iter) -> int:
    """
    Fill a ledger of settled trades with copies of them until it holds that many or a few more; returns how many.

    What a copy is, filling.sql tells. They are written in the order of their time and into every index as they come, so
    that all lies as if a worker had written it; what a ledger that has grown has and this one lacks is the dead rows
    between two vacuums. `going_through` may show somebody how far it is. Raises RuntimeError when the ledger holds rows
    that would not be copied.
    """
    with _connected(postgres_url) as trades, _connected(postgres_url) as events, ThreadPoolExecutor(1) as beside:
        _insist_on_known_tables(trades)
        trades.execute(files(__package__).joinpath("filling.sql").read_bytes())
        originals = _count(trades, "select count(*) from bench.executions")
        copies = _copies(trades, originals, executions)
        statements, trail = [_copying(trades, *table) for table in _TRADES.items()], Trail(events)
        for copy in going_through(copies):
            written = beside.submit(_write, trades, statements, copy)
            trail.copy(_names(events, copy), copy.earlier)
            written.result()
        _tidy(trades)
    return originals * len(copies)


def _connected(postgres_url: str) -> psycopg.Connection:
    return psycopg.connect(postgres_url, autocommit=True, options=_UNHINDERED)


def _insist_on_known_tables(connection: psycopg.Connection) -> None:
    tables = connection.execute("select tablename::text from pg_tables where schemaname = 'ledger'").fetchall()
    for (table,) in tables:
        found = connection.execute(sql.SQL("select from ledger.{} limit 1").format(sql.Identifier(table))).fetchall()
        if found and table not in {"audit_events", *_TRADES, *_WITHOUT_TRADES}:
            raise RuntimeError(f"ledger.{table} holds rows that are not copied: teach ops/bench/filling.py to")


def _copies(connection: psycopg.Connection, originals: int, executions: int) -> list[Copy]:
    """Return the copies from the oldest to the originals themselves, whose tokens come before all others."""
    oldest = -(-executions // originals) - 1
    step = SPREAD / max(oldest, 1)
    tokens = 64 * (1 + _count(connection, "select last_value from ledger.trade_counter"))  # 6 bits are the attempt's
    return [
        Copy(distance, distance * step, distance * originals, (oldest + 1 - distance) * tokens if distance else 0)
        for distance in range(oldest, -1, -1)
    ]


def _write(connection: psycopg.Connection, statements: Iterable[sql.Composed], copy: Copy) -> None:
    with connection.pipeline():
        for statement in statements:
            connection.execute(statement, asdict(copy), prepare=True)


def _copying(connection: psycopg.Connection, table: str, order: str) -> sql.Composed:
    columns = connection.execute(
        "select column_name::text, data_type::text from information_schema.columns"
        " where table_schema = 'ledger' and table_name = %s order by ordinal_position",
        (table,),
    )
    return sql.SQL("insert into ledger.{} select {} from bench.{} order by {}").format(
        sql.Identifier(table),
        sql.SQL(", ").join(_in_a_copy(table, column, kind) for column, kind in columns),
        sql.Identifier(table),
        sql.Identifier(order),
    )


def _in_a_copy(table: str, column: str, kind: str) -> sql.Composable:
    if kind == "timestamp with time zone":
        return sql.SQL("{} - %(earlier)s").format(sql.Identifier(column))
    changed = _CHANGED.get(f"{table}.{column}") or _CHANGED.get(column)
    return sql.SQL(changed) if changed else sql.Identifier(column)


def _names(connection: psycopg.Connection, copy: Copy) -> dict[str, str]:
    """Return the ids of a copy's executions by those of the originals."""
    query = sql.SQL("select execution_id::text, {}::text from bench.executions").format(sql.SQL(_MOVED))
    return dict(connection.execute(query, asdict(copy)).fetchall())


def _tidy(connection: psycopg.Connection) -> None:
    """Leave the ledger as autovacuum would, and its counter behind the last copy's."""
    connection.execute(
        "select setval('ledger.trade_counter', max(token >> 6) & ((1::bigint << 36) - 1)) from ledger.executions"
    )
    connection.execute("drop schema bench cascade")
    connection.execute("vacuum analyze")
    connection.execute("checkpoint")


def _count(connection: psycopg.Connection, query: LiteralString) -> int:
    [(count,)] = connection.execute(query).fetchall()
    return int(count)
