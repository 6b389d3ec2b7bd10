"""The way into a transaction, but for group commits: at its three moments a fault test can end the worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from worker import failpoints
from worker.ledger.connection import Connection


@asynccontextmanager
async def transaction(connection: Connection, name: str, kinds: Sequence[str] = ()) -> AsyncIterator[None]:
    """
    Commit what the block does, or nothing of it when the block raises.

    `name` and `kinds` tell its failpoints `ledger.<name>.before`, `.within` (all but the COMMIT) and `.after` (the
    COMMIT stands, and nobody knows) from those of other transactions.
    """
    failpoints.hit(f"ledger.{name}.before", *kinds)
    async with connection.transaction():
        yield
        failpoints.hit(f"ledger.{name}.within", *kinds)
    failpoints.hit(f"ledger.{name}.after", *kinds)
