"""Restoring a backup into a database of its own: never over anything that is there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ops.backup.errors import BackupError, OutOfReach
from ops.backup.server import Connection, connected, of_database, where
from ops.backup.tools import run

_FRESH = "interval '1 minute'"  # a worker that leads renews every second


def restore(url: str, dump: Path, database: str) -> None:
    """
    Load a dump into `database` on the server of `url`, which is made if it does not exist and must be empty.

    All of it is loaded or nothing. Owners and rights of the old server are left behind: the loading user becomes the
    owner, and `mt5-worker db migrate` grants the rest. Raises BackupError.
    """
    target = of_database(url, database)
    _make_unless_there(url, database)
    with connected(target) as connection:
        refuse_what_holds_something(connection, target)
    run(
        "pg_restore",
        "--single-transaction",
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
        "--no-password",
        f"--dbname={conninfo_to_dict(target)['dbname']}",  # a name and nothing else: the address is in the environment
        str(dump),
        url=target,
    )


def refuse_what_holds_something(connection: Connection, url: str) -> None:
    """Raise BackupError unless the database is empty; a ledger that a worker leads is named as such."""
    if _has(connection, "select to_regclass('ledger.accounts') is not null"):
        led = connection.execute(
            "select account, lease_holder from ledger.accounts where lease_holder is not null"  # noqa: S608 - ours
            f" and lease_renewed_at > now() - {_FRESH} order by account limit 1"
        ).fetchone()
        what = f"worker {led[1]} leads account {led[0]} in it" if led else "it holds a ledger already"
        raise BackupError(f"{where(url)}: {what}. Nothing was changed; restore into another, empty database.")
    if _has(
        connection,
        "select exists (select from pg_namespace where nspname not in ('public', 'information_schema')"
        " and nspname not like 'pg\\_%') or exists (select from pg_class where relnamespace = 'public'::regnamespace)",
    ):
        raise BackupError(f"{where(url)} is not empty. Nothing was changed; restore into another, empty database.")


def _has(connection: Connection, question: str) -> bool:
    row = connection.execute(question.encode()).fetchone()
    return bool(row and row[0])


def _make_unless_there(url: str, database: str) -> None:
    try:
        with connected(of_database(url, "postgres")) as connection:
            if not _has_database(connection, database):
                with suppress(psycopg.errors.DuplicateDatabase):  # somebody was quicker: is it empty? is asked anyway
                    connection.execute(
                        sql.SQL("create database {} template template0").format(sql.Identifier(database))
                    )
    except OutOfReach:
        with connected(of_database(url, database)):
            return  # no way into `postgres`, but the database is there


def _has_database(connection: Connection, database: str) -> bool:
    return connection.execute("select from pg_database where datname = %s", (database,)).fetchone() is not None
