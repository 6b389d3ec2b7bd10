"""Where new tokens come from: a random namespace, replaced whenever the ledger may have lost some of its past."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.domain.token import CANARY_NAMESPACE
from worker.ledger.connection import Connection
from worker.ledger.encoding import as_row
from worker.ledger.statements import sql


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace, and the copy of the database that it was begun in. New tokens come from the highest number."""

    number: int
    namespace: int
    system_identifier: str
    timeline: str
    storage: str
    begun_at: datetime

    @property
    def copy(self) -> dict[str, str]:
        """Return which copy of the database it was begun in."""
        return {"system_identifier": self.system_identifier, "timeline": self.timeline, "storage": self.storage}


async def known_since(connection: Connection, account: str) -> datetime | None:
    """Return when this copy of the ledger began to miss nothing of an account; None when it never missed a thing."""
    row = await (await connection.execute(sql("known_since"), {"account": account})).fetchone()
    return row["since"] if row else None


async def misses_nothing_since(connection: Connection, account: str, now: datetime) -> datetime | None:
    """
    Return the same for who only looks: until now, if no worker has recognised this copy of the database yet.

    Its worker begins a namespace when it comes, no earlier than that.
    """
    known = await _all(connection)
    present = await (await connection.execute(sql("database_identity"))).fetchone()
    return now if known and known[-1].copy != present else await known_since(connection, account)


def next_namespace(known: Sequence[Namespace], copy: Mapping[str, str], now: datetime) -> Namespace:
    """Return a namespace that was never used, to follow those, in this copy of the database."""
    used = {one.namespace for one in known}
    offer = 1 + secrets.randbelow(CANARY_NAMESPACE - 1)
    while offer in used:
        offer = 1 + secrets.randbelow(CANARY_NAMESPACE - 1)
    return Namespace(known[-1].number + 1 if known else 1, offer, **copy, begun_at=now)


async def namespaces_of(connection: Connection, copy: Mapping[str, str], now: datetime) -> Sequence[Namespace]:
    """Return all namespaces, the last one begun in this very copy of the database: now, if need be."""
    while True:
        known = await _all(connection)
        if known and known[-1].copy == copy:
            return known
        offer = next_namespace(known, copy, now)
        await connection.execute(sql("offer_namespace"), as_row(offer))


async def _all(connection: Connection) -> Sequence[Namespace]:
    cursor = await connection.execute(sql("all_namespaces"))
    return [Namespace(**row) for row in await cursor.fetchall()]
