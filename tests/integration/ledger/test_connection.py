"""A connection to PostgreSQL leaves nothing behind, whenever it is given up."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import psycopg
import pytest

from ops.services import Services
from worker.ledger.connection import PERSON_SESSION, connect

pytestmark = pytest.mark.services


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
async def test_given_up_while_it_is_made_it_does_not_keep_a_database_from_being_dropped(
    services: Services, postgres_url: str
) -> None:
    # Given connections that are given up, each a little later than the one before
    given_up = [asyncio.create_task(connect(postgres_url, "given up", PERSON_SESSION)) for _ in range(12)]
    for task in given_up:
        await asyncio.sleep(0.0005)
        task.cancel()
    outcomes = await asyncio.gather(*given_up, return_exceptions=True)
    for made in outcomes:  # before it was given up
        if not isinstance(made, BaseException):
            await made.close()

    # Then the database, which waits for everybody who is just coming in, can be dropped at once
    with psycopg.connect(services.postgres_url, autocommit=True) as administrator:
        administrator.execute("set statement_timeout = '5s'")
        administrator.execute("create database given_up")
        administrator.execute("drop database given_up")
    assert any(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
