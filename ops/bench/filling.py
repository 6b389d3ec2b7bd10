"""Fills the ledger of a worker that is not running, as if it had worked for a month."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib.resources import files

import psycopg
from psycopg import sql

SPREAD = timedelta(days=30)  # over which the copies lie
_COPIED = {"executions", "attempts", "deals", "confirmations", "audit_events"}
_WITHOUT_TRADES = {"accounts", "namespaces", "transitions", "migrations"}
_UNHINDERED = "-c session_replication_role=replica -c synchronous_commit=off"  # no foreign keys, no wait for the disk


def fill(postgres_url: str, executions: int, going_through: Callable[[Sequence[int]], Iterable[int]] = iter) -> int:
    """
    Fill a ledger of settled trades with copies of them until it holds that many or a few more; returns how many.

    What a copy is, filling.sql tells. They are written in the order of their time, so that they lie as a worker's own
    rows would; what a ledger that has grown has and this one lacks is the dead rows between two vacuums.
    `going_through` may show somebody how far it is. Raises RuntimeError when the ledger holds rows that would not be
    copied.
    """
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        _insist_on_known_tables(connection)
        connection.execute(files(__package__).joinpath("filling.sql").read_bytes())
        row = connection.execute("select tickets from bench.step").fetchone()
        originals: int = row[0] if row else 0
        copies = -(-executions // originals) - 1
        connection.execute("update bench.step set time = %s", (SPREAD / max(copies, 1),))
    with ThreadPoolExecutor(1) as beside:
        events = beside.submit(_write_events, postgres_url, copies)
        _write_trades(postgres_url, going_through(range(copies, -1, -1)))
        events.result()
    _tidy(postgres_url)
    return originals * (copies + 1)


def _insist_on_known_tables(connection: psycopg.Connection) -> None:
    tables = connection.execute("select tablename::text from pg_tables where schemaname = 'ledger'").fetchall()
    for (table,) in tables:
        found = connection.execute(sql.SQL("select from ledger.{} limit 1").format(sql.Identifier(table))).fetchall()
        if found and table not in _COPIED | _WITHOUT_TRADES:
            raise RuntimeError(f"ledger.{table} holds rows that filling.sql does not copy: teach it to")


def _write_trades(postgres_url: str, distances: Iterable[int]) -> None:
    with psycopg.connect(postgres_url, autocommit=True, options=_UNHINDERED) as connection:
        for age, distance in enumerate(distances, start=1):
            connection.execute("select bench.copy_trades(%s, %s)", (distance, age))


def _write_events(postgres_url: str, copies: int) -> None:
    with psycopg.connect(postgres_url, autocommit=True, options=_UNHINDERED) as connection:
        for distance in range(copies, -1, -1):
            connection.execute("select bench.copy_events(%s)", (distance,))


def _tidy(postgres_url: str) -> None:
    """Leave the ledger as autovacuum would, and its counter behind the last copy's."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            "select setval('ledger.trade_counter', max(token >> 6) & ((1::bigint << 36) - 1)) from ledger.executions"
        )
        connection.execute("drop schema bench cascade")
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")
