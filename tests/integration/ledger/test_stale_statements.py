"""Statements that PostgreSQL has forgotten, or that mean something else by now, are prepared on a new connection."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.ledger.stories import a_trade, an_arrival
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger
from worker.ledger.line import Line
from worker.ledger.round_trip import BEGIN, COMMIT, Call, round_trip
from worker.observability import Outage
from worker.ports import Admittance

pytestmark = pytest.mark.services

LOOK: Call = ("all_accounts", {})


@pytest.fixture
async def line(ledger_url: str) -> AsyncIterator[Line]:
    line = Line(ledger_url, "test", Outage("postgresql", "a test"))
    yield line
    await line.close()


async def test_statements_that_the_server_has_forgotten_are_prepared_again(line: Line) -> None:
    await line.run(_look)
    await line.run(lambda connection: connection.execute("deallocate all"))  # as a pooler does between two clients

    assert await line.run(_look) == []


async def test_statements_that_the_server_still_knows_from_somebody_else_are_prepared_again(line: Line) -> None:
    await line.run(lambda connection: connection.execute("prepare all_accounts as select 1"))

    assert await line.run(_look) == []


async def test_a_trade_is_written_down_although_a_table_has_changed_under_the_worker(
    ledger: PostgresLedger, database: Connection
) -> None:
    await ledger.admit(an_arrival(a_trade("A")))
    await database.execute("alter table ledger.executions add column added_later integer")

    again = await ledger.admit(an_arrival(a_trade("A")))

    assert again.admittance is Admittance.REPEAT


async def _look(connection: Connection) -> list[object]:
    answers = await round_trip(connection, [BEGIN, LOOK, COMMIT])
    return list(answers[1])
