"""Several statements in one round trip: in their order, all answered, and none after one that failed."""

from __future__ import annotations

import asyncio

import pytest
from psycopg import OperationalError, errors

from worker.ledger.connection import Connection
from worker.ledger.round_trip import BEGIN, COMMIT, ROLLBACK, Call, round_trip

pytestmark = pytest.mark.services


def _open(account: str) -> Call:
    return "open_account", {"account": account}


ALL: Call = ("all_accounts", {})
WRONG: Call = ("offer_namespace", dict.fromkeys(("number", "namespace", "system_identifier", "timeline", "storage")))


async def test_each_statement_sees_what_those_before_it_did(database: Connection) -> None:
    answers = await round_trip(database, [ALL, _open("a"), ALL, _open("b"), ALL])

    assert answers == [[], [], [{"account": "a"}], [], [{"account": "a"}, {"account": "b"}]]


async def test_nothing_at_all_is_answered_by_nothing(database: Connection) -> None:
    assert await round_trip(database, []) == []


async def test_a_statement_is_prepared_once(database: Connection) -> None:
    for account in ("a", "b"):
        await round_trip(database, [_open(account), ALL, ALL])

    cursor = await database.execute("select name from pg_prepared_statements order by name")
    assert await cursor.fetchall() == [{"name": "all_accounts"}, {"name": "open_account"}]
    assert database.prepared == {"all_accounts", "open_account"}


async def test_a_failure_takes_all_of_its_round_trip_back_and_its_commit_does_not_happen(database: Connection) -> None:
    with pytest.raises(errors.NotNullViolation):
        await round_trip(database, [BEGIN, _open("a"), WRONG, _open("b"), COMMIT])

    # The connection goes on, and what was prepared before the failure still is
    await round_trip(database, [ROLLBACK])
    assert await round_trip(database, [_open("c"), ALL]) == [[], [{"account": "c"}]]


async def test_a_transaction_may_span_round_trips(database: Connection) -> None:
    await round_trip(database, [BEGIN, _open("a")])
    await round_trip(database, [_open("b"), ROLLBACK])

    assert await round_trip(database, [ALL]) == [[]]


async def test_more_than_the_wire_holds_gets_through(database: Connection) -> None:
    names = [f"{number:03}" + "x" * 2000 for number in range(500)]

    answers = await round_trip(database, [call for name in names for call in (_open(name), ALL)])

    assert [row["account"] for row in answers[-1]] == names


async def test_a_connection_that_breaks_says_so(database: Connection, ledger_url: str) -> None:
    backend = database.info.backend_pid
    async with await Connection.connect(ledger_url, autocommit=True) as other:
        await other.execute("select pg_terminate_backend(%s)", [backend])

    with pytest.raises(OperationalError):
        async with asyncio.timeout(20):
            await round_trip(database, [ALL])
