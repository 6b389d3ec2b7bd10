"""An audit trail of copied events: one hash chain, as long as one likes, that `audit verify` finds whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import psycopg

_GENESIS = "0" * 64  # what the first event follows
_TYPES = ("text", "int8", *["text"] * 7)

Row = tuple[str | int | None, ...]


class Trail:
    """Writes copies of `bench.audit_events` behind one another; the ledger's own trail must be empty at first."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._originals = connection.execute(
            "select account, at, actor, kind, execution_id, payload from bench.audit_events order by sequence"
        ).fetchall()
        self._sequence, self._hash = 0, _GENESIS

    def copy(self, names: Mapping[str, str], earlier: timedelta) -> None:
        """Write a copy of all events with other ids of executions; of those of no trade only where it is no earlier."""
        with self._connection.cursor().copy("copy ledger.audit_events from stdin (format binary)") as rows:
            rows.set_types(_TYPES)
            for row in self._rows(names, earlier):
                rows.write_row(row)
        self._connection.execute(
            "update ledger.accounts set audit_sequence = %s, audit_hash = %s", (self._sequence, self._hash)
        )

    def _rows(self, names: Mapping[str, str], earlier: timedelta) -> Iterator[Row]:
        for account, at, actor, kind, execution_id, payload in self._originals:
            if execution_id or not earlier:
                moment = (datetime.fromisoformat(at) - earlier).isoformat(timespec="microseconds")
                name = names[execution_id] if execution_id else None
                yield self._linked(account, self._sequence + 1, moment, actor, kind, name, payload, self._hash)

    def _linked(self, *told: str | int | None) -> Row:
        self._sequence += 1
        self._hash = hashlib.sha256(b"".join(map(_encoded, told))).hexdigest()
        return *told, self._hash


def _encoded(value: str | int | None) -> bytes:
    """Return a value as the chain's hashes cover it: preceded by its length, a missing one unlike an empty one."""
    if value is None:
        return b"-;"
    content = str(value).encode()
    return b"%d:%b;" % (len(content), content)
