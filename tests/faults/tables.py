"""The ledger's tables as a database administrator reads them, and the audit chain worked out anew from its text."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
_T = TypeVar("_T")

_PATIENCE_SECONDS = 60.0
_GENESIS = "0" * 64
_HASHED = ("account", "sequence", "at", "actor", "kind", "execution_id", "payload", "previous_hash")
_TABLES = {
    "accounts": "",
    "executions": "",
    "deals": "",
    "confirmations": "order by execution_id, version",
    "outbox": "order by id",
    "audit_events": "order by sequence",
}


@dataclass(frozen=True)
class Tables:
    """What one account has in the ledger, all of it seen at the same moment."""

    accounts: Sequence[Row]
    executions: Sequence[Row]
    deals: Sequence[Row]
    confirmations: Sequence[Row]
    outbox: Sequence[Row]
    audit_events: Sequence[Row]


def read_tables(postgres_url: str, account: str) -> Tables:
    """Read them in one transaction; waits while PostgreSQL is away."""
    return _patiently(lambda: _read(postgres_url, account))


def is_quiet(postgres_url: str, account: str) -> bool:
    """Tell whether nothing is left to be done: no open execution, nothing to be published."""
    return _patiently(lambda: _is_quiet(postgres_url, account))


def _patiently(ask: Callable[[], _T]) -> _T:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _is_quiet(postgres_url: str, account: str) -> bool:
    with psycopg.connect(postgres_url) as connection:
        left = connection.execute(
            """
            select from ledger.outbox where account = %(account)s union all
            select from ledger.executions where account = %(account)s and is_open
            """,
            {"account": account},
        )
        return left.fetchone() is None


def _read(postgres_url: str, account: str) -> Tables:
    with psycopg.connect(postgres_url, row_factory=dict_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return Tables(
            **{
                table: connection.execute(
                    f"select * from ledger.{table} where account = %s {order}",  # noqa: S608 - the names above
                    (account,),
                ).fetchall()
                for table, order in _TABLES.items()
            }
        )


def chain_faults(tables: Tables) -> Iterable[str]:
    """Tell the first place where the account's audit chain does not hold, from its first event to its head."""
    previous = _GENESIS
    for expected, row in enumerate(tables.audit_events, start=1):
        if row["sequence"] != expected:
            yield f"audit event {expected} is missing: {row['sequence']} comes next"
            return
        if row["previous_hash"] != previous or row["hash"] != _hash_of(row):
            yield f"the audit chain breaks at event {expected} ({row['kind']})"
            return
        previous = row["hash"]
    end = len(tables.audit_events)
    for account in tables.accounts:
        if (account["audit_sequence"], account["audit_hash"]) != (end, previous):
            yield f"the account's head is audit event {account['audit_sequence']}, the chain ends at {end}"


def _hash_of(row: Row) -> str:
    return hashlib.sha256(b"".join(_netstring(row[column]) for column in _HASHED)).hexdigest()


def _netstring(value: str | int | None) -> bytes:
    if value is None:
        return b"-;"
    content = str(value).encode()
    return str(len(content)).encode() + b":" + content + b";"
