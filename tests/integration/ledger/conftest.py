"""A migrated database and a worker's ledger on it, for each story."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.integration.ledger.stories import RealClock
from worker.ledger.connection import PERSON_SESSION, Connection, connect
from worker.ledger.ledger import PostgresLedger
from worker.ledger.schema import migrate

OpenLedger = Callable[..., Awaitable[PostgresLedger]]


@pytest.fixture
async def ledger_url(postgres_url: str) -> str:
    await migrate(postgres_url)
    return postgres_url


@pytest.fixture
async def open_ledger(ledger_url: str) -> AsyncIterator[OpenLedger]:
    """Return a function that opens a ledger and takes its lease; all are closed at the end."""
    opened: list[PostgresLedger] = []

    async def open_one(account: str = "main", worker_id: str = "host:1", **more: Any) -> PostgresLedger:
        ledger = await PostgresLedger.open(ledger_url, account=account, worker_id=worker_id, clock=RealClock(), **more)
        opened.append(ledger)
        await ledger.lead()
        return ledger

    yield open_one
    for ledger in opened:
        await ledger.close()


@pytest.fixture
async def ledger(open_ledger: OpenLedger) -> PostgresLedger:
    return await open_ledger()


@pytest.fixture
async def database(ledger_url: str) -> AsyncIterator[Connection]:
    """Connect as the owner, to look at the tables from outside."""
    async with await connect(ledger_url, "test", PERSON_SESSION) as connection:
        yield connection
