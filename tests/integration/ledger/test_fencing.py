"""Whatever is written for an account waits for its row first, and a worker that was replaced writes nothing of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.ledger.conftest import OpenLedger
from tests.integration.ledger.doings import (
    LETTER,
    PREPARATIONS,
    Preparation,
    a_new_execution,
    release,
    traces_in,
)
from tests.integration.ledger.stories import AN_ORDER, NOON, RealClock, rejected
from worker.domain.errors import LeaseLost
from worker.ledger.archive import DISCARD, Move, move
from worker.ledger.connection import WORKER_SESSION, Connection, connect
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import Operator, halt, operator, republish, resume
from worker.ledger.replays import replay
from worker.settings import LEASE_SECONDS, SEND_DEADLINE_SECONDS

pytestmark = pytest.mark.services

Command = Callable[[Operator], Awaitable[object]]
COMMANDS: dict[str, Command] = {
    "halt": lambda desk: halt(desk, "main", reason="news", by="ann"),
    "resume": lambda desk: resume(desk, "main", reason="over", by="ann"),
    "republish": lambda desk: republish(desk, "main", NOON, NOON + timedelta(days=9999), by="ann"),
    "discard": lambda desk: move(desk, Move(DISCARD, "ann", "a test"), [LETTER.letter_id]),
    "replay": lambda desk: replay(desk, LETTER.letter_id, AN_ORDER),
}


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=lambda preparation: preparation.__name__)
async def test_what_a_worker_writes_waits_for_the_account_s_row(
    ledger: PostgresLedger, database: Connection, preparation: Preparation
) -> None:
    doing = await preparation(ledger)

    await _waits_for_the_row(database, doing(ledger))


async def test_a_renewal_and_a_take_over_wait_for_the_account_s_row(
    ledger: PostgresLedger, ledger_url: str, database: Connection
) -> None:
    await _waits_for_the_row(database, ledger.lease.renew({}))
    await ledger.close()
    successor = await PostgresLedger.open(ledger_url, account="main", worker_id="host:2", clock=RealClock())
    await _waits_for_the_row(database, successor.lead())
    await successor.close()


@pytest.mark.parametrize("name", COMMANDS)
async def test_what_an_operator_changes_waits_for_the_account_s_row(
    ledger: PostgresLedger, ledger_url: str, database: Connection, name: str
) -> None:
    await ledger.take_in(LETTER, None)
    await ledger.record(rejected(await a_new_execution(ledger)))

    async with operator(ledger_url, RealClock()) as desk:
        await halt(desk, "main", reason="so that it can be lifted", by="ann")
        await _waits_for_the_row(database, COMMANDS[name](desk))


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=lambda preparation: preparation.__name__)
async def test_nothing_of_what_a_replaced_worker_writes_is_written(
    open_ledger: OpenLedger, database: Connection, preparation: Preparation
) -> None:
    lost = asyncio.Event()
    ledger = await open_ledger(on_lease_lost=lost.set)
    doing = await preparation(ledger)
    await database.execute("update ledger.accounts set lease_epoch = lease_epoch + 1, lease_holder = 'host:2'")
    before = await traces_in(database)

    if preparation is release:
        await doing(ledger)  # there is nothing to give up any more
    else:
        with pytest.raises(LeaseLost):
            await doing(ledger)
        assert lost.is_set()

    assert await traces_in(database) == before


async def test_a_replaced_worker_does_not_renew_what_is_another_s(
    open_ledger: OpenLedger, database: Connection
) -> None:
    ledger = await open_ledger()
    await database.execute("update ledger.accounts set lease_epoch = lease_epoch + 1")  # a worker of the same name

    with pytest.raises(LeaseLost):
        await ledger.lease.renew({})


async def test_the_server_s_limits_are_shorter_than_the_lease_whatever_the_url_says(ledger_url: str) -> None:
    url = f"{ledger_url}?options=-c%20lock_timeout%3D0%20-c%20idle_in_transaction_session_timeout%3D0"

    async with await connect(url, "test", WORKER_SESSION) as session:
        for limit in ("lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout", "tcp_user_timeout"):
            cursor = await session.execute("select setting::int as ms from pg_settings where name = %s", [limit])
            row = await cursor.fetchone()
            assert row is not None
            assert 0 < row["ms"] < LEASE_SECONDS * 1000, limit


async def test_what_is_left_of_the_lease_counts_from_before_the_last_renewal(ledger: PostgresLedger) -> None:
    began = time.monotonic()
    await ledger.lease.renew({})
    left, ended = ledger.lease_left, time.monotonic()

    assert LEASE_SECONDS - (ended - began) <= left <= LEASE_SECONDS
    assert left > SEND_DEADLINE_SECONDS


@pytest.mark.parametrize("clock", ["now", "monotonic"])
async def test_a_worker_that_stood_still_has_nothing_left_of_its_lease(
    open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    # A paused process finds its monotonic clock moved on, a paused machine perhaps only the other one.
    ledger = await open_ledger()
    assert ledger.lease_left > 0

    later = {"now": datetime.now(UTC) + timedelta(seconds=20), "monotonic": time.monotonic() + 20}
    monkeypatch.setattr(RealClock, clock, lambda _self: later[clock])

    assert ledger.lease_left < 0


async def _waits_for_the_row(database: Connection, change: Awaitable[object]) -> None:
    """See that a change does nothing while somebody else has the account's row, and is done afterwards."""
    before = await traces_in(database)
    async with database.transaction():
        await database.execute("select from ledger.accounts where account = 'main' for update")
        changing = asyncio.ensure_future(change)
        while not (waiting := await _waiting(database)):
            assert not changing.done(), "it did not wait"
            await asyncio.sleep(0.02)
        assert waiting == [None], "it has written before it had the row"
        assert await traces_in(database) == before
    await changing


async def _waiting(database: Connection) -> list[str | None]:
    """Return for each session that waits for a row what it has written to, besides the accounts."""
    await database.execute("select pg_stat_clear_snapshot()")  # a transaction would go on seeing what it saw first
    cursor = await database.execute(
        """
        select (select string_agg(l.relation::regclass::text, ', ') from pg_locks l
                where l.pid = a.pid and l.mode = 'RowExclusiveLock' and l.database = a.datid
                  and l.relation not in (select indexrelid from pg_index)
                  and l.relation <> 'ledger.accounts'::regclass) as written
        from pg_stat_activity a
        where a.datname = current_database() and a.wait_event_type = 'Lock'
        """
    )
    return [row["written"] for row in await cursor.fetchall()]
