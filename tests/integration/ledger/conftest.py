"""A migrated database and a worker's ledger on it, for each story."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from psycopg.sql import SQL, Identifier, Literal

from tests.integration.ledger.stories import RealClock
from worker.ledger.connection import PERSON_SESSION, Connection, connect
from worker.ledger.ledger import PostgresLedger

OpenLedger = Callable[..., Awaitable[PostgresLedger]]


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


@pytest.fixture
async def worker_url(ledger_url: str, database: Connection) -> str:
    """Return the URL of a user that may do what a worker may, and no more."""
    return await user_of(database, ledger_url, role="mt5_worker")


async def user_of(database: Connection, url: str, role: str | None) -> str:
    """Make a user that may do what the role may, and return its URL."""
    name, password = f"user_{secrets.token_hex(6)}", secrets.token_hex(8)
    user = Identifier(name)
    await database.execute(SQL("create role {} login password {}").format(user, Literal(password)))
    if role is not None:
        await database.execute(SQL("grant {} to {}").format(Identifier(role), user))
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}"))
