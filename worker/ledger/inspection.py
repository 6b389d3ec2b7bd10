"""Looks at the PostgreSQL server itself: what `doctor` needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from worker.ledger.connection import connected_for_a_person
from worker.ledger.statements import sql


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """
    What the promise of the ledger rests on.

    `clock_ahead` is PostgreSQL's clock minus ours, as far as the round trip (`clock_error`) lets us know it.
    """

    version_number: int  # 150004 is 15.4
    version: str
    fsync: bool
    full_page_writes: bool
    synchronous_standbys: str
    read_only: bool
    standbys: int
    synchronous_commit: str  # of the server; the ledger's own sessions insist on at least `on`
    user_name: str
    clock_ahead: timedelta
    clock_error: timedelta


async def inspect(url: str) -> ServerFacts:
    """Ask the server about itself. Raises LedgerUnavailable."""
    async with connected_for_a_person(url, "mt5-worker doctor") as connection:
        asked_at = datetime.now(UTC)
        cursor = await connection.execute(sql("inspect_server"))
        answered_at = datetime.now(UTC)
        rows = await cursor.fetchall()
    facts = dict(rows[0])
    error = (answered_at - asked_at) / 2
    return ServerFacts(clock_ahead=facts.pop("now") - (asked_at + error), clock_error=error, **facts)


async def missing_rights(url: str) -> Sequence[str]:
    """Return what a worker does and this user may not; the schema must be there. Raises LedgerUnavailable."""
    async with connected_for_a_person(url, "mt5-worker doctor") as connection:
        cursor = await connection.execute(sql("missing_rights"))
        return [row["missing"] for row in await cursor.fetchall()]
