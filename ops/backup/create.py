"""Making a backup: one dump of the schema `ledger`, and the heads of its audit chains as of the same moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from ops.backup import manifest
from ops.backup.errors import BackupError
from ops.backup.manifest import Head, Manifest
from ops.backup.server import Connection, connected, where
from ops.backup.tools import run

_ONLY_ME = 0o600  # the ledger is nobody else's business


@dataclass(frozen=True)
class _Snapshot:
    """One moment of the database, which pg_dump can enter as long as its transaction is open."""

    name: str
    taken_at: datetime
    database: str
    server_version: str
    migration: str
    heads: list[Head]


def create(url: str, folder: Path) -> Path:
    """
    Write a dump and its manifest into a folder and return the dump's path.

    The manifest comes last: a dump without one is a backup that was interrupted. The worker goes on meanwhile; nothing
    it does waits for the backup. Raises BackupError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with connected(url) as connection, _snapshot(connection, url) as snapshot:
        dump = folder / f"ledger-{snapshot.taken_at:%Y%m%dT%H%M%S.%f}Z.dump"
        beside = dump.with_name(f"{dump.name}.partial")
        try:
            _dump(url, snapshot, beside)
            described = _described(dump.name, beside, snapshot)
            manifest.settle(beside, dump)
        finally:
            beside.unlink(missing_ok=True)
    try:
        manifest.write(dump.with_suffix(manifest.SUFFIX), described)
    except BaseException:
        dump.unlink(missing_ok=True)  # no backup without it, and on a full disk the room is needed
        raise
    return dump


def _described(name: str, dump: Path, snapshot: _Snapshot) -> Manifest:
    return Manifest(
        dump=name,
        sha256=manifest.sha256_of(dump),
        size=dump.stat().st_size,
        taken_at=snapshot.taken_at.isoformat(),
        database=snapshot.database,
        server_version=snapshot.server_version,
        migration=snapshot.migration,
        heads=snapshot.heads,
    )


@contextmanager
def _snapshot(connection: Connection, url: str) -> Iterator[_Snapshot]:
    """Hold one moment of the database; it locks nobody out."""
    connection.execute("set idle_in_transaction_session_timeout = 0")  # the dump takes as long as it takes
    connection.execute("begin isolation level repeatable read read only")
    try:
        yield _look(connection)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise BackupError(f"{where(url)} has no ledger: there is nothing to back up. Is POSTGRES_URL right?") from None


def _look(connection: Connection) -> _Snapshot:
    row = connection.execute(
        "select pg_export_snapshot(), statement_timestamp(), current_database(), current_setting('server_version'),"
        " (select name from ledger.migrations order by version desc limit 1)"
    ).fetchone()
    if row is None:
        raise BackupError("PostgreSQL did not answer the question for its snapshot: nothing was written")
    name, taken_at, database, version, migration = row
    return _Snapshot(name, taken_at.astimezone(UTC), database, version, migration, heads_in(connection))


def heads_in(connection: Connection) -> list[Head]:
    """Return where each account's audit chain ends, by the accounts' own rows."""
    rows = connection.execute("select account, audit_sequence, audit_hash from ledger.accounts order by account")
    return [Head(*row) for row in rows.fetchall()]


def _dump(url: str, snapshot: _Snapshot, file: Path) -> None:
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _ONLY_ME))  # pg_dump keeps the rights of what is there
    run(
        "pg_dump",
        "--format=custom",
        "--schema=ledger",
        f"--snapshot={snapshot.name}",
        "--no-password",  # never ask: nobody may be there to answer
        f"--file={file}",
        url=url,
    )
