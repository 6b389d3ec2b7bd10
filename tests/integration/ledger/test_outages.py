"""PostgreSQL stops, dies, falls silent, comes back while trades are written: everyone waits, nothing is lost."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from ops.services import Services
from tests.fixtures.chain import first_fault
from tests.integration.ledger.stories import RealClock, a_trade, accepted, an_arrival, filled, written_ahead
from worker.domain.errors import LedgerUnavailable
from worker.ledger.audit import AuditRow
from worker.ledger.connection import PERSON_SESSION, connect
from worker.ledger.ledger import PostgresLedger
from worker.ledger.schema import check, migrate

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

AT_A_TIME = 20


@pytest.fixture
async def own_url(own_services: Services) -> AsyncIterator[str]:
    name = f"outage_{secrets.token_hex(4)}"
    url = await asyncio.to_thread(own_services.new_database, name)
    await migrate(url)
    yield url
    await asyncio.to_thread(own_services.drop_database, name)


@pytest.fixture
async def ledger(own_url: str) -> AsyncIterator[PostgresLedger]:
    ledger = await PostgresLedger.open(own_url, account="main", worker_id="host:1", clock=RealClock())
    await ledger.lead()
    yield ledger
    await ledger.close()


@pytest.mark.parametrize("how", ["restart", "kill"])
async def test_trades_go_on_after_postgresql_went_away_under_them(
    ledger: PostgresLedger, own_url: str, own_services: Services, how: str
) -> None:
    # Given trades that are being written all the time, and the worker's lease being renewed
    over = asyncio.Event()
    trading = asyncio.create_task(_trade_until(over, ledger))
    renewing = asyncio.create_task(ledger.lease.keep(dict))

    # When PostgreSQL goes away in the middle and comes back
    with capture_logs() as logs:
        if how == "kill":
            await asyncio.to_thread(own_services.postgres.kill)
        await asyncio.to_thread(own_services.postgres.restart)
        over.set()
        trades = await trading

    # Then every trade has all of its steps, once, and the log has one word at each end
    renewing.cancel()
    await _everything_once(own_url, trades)
    told = [entry["event"] for entry in logs if entry["event"].startswith("postgresql ")]
    assert told == ["postgresql lost", "postgresql back"]


async def test_a_commit_in_doubt_of_the_synchronous_standby_is_not_answered_before_it_stands(
    ledger: PostgresLedger, own_url: str
) -> None:
    async with await connect(own_url, "test", PERSON_SESSION) as owner:
        # Given a server that waits for a standby which does not answer
        await owner.execute("alter system set synchronous_standby_names = 'nobody'")
        await owner.execute("select pg_reload_conf()")
        admitting = asyncio.create_task(ledger.admit(an_arrival()))
        waiting = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"

        # When the wait is cancelled: PostgreSQL answers the commit, with a warning
        while not (await (await owner.execute(waiting)).fetchall()):  # noqa: ASYNC110 - the server tells only if asked
            await asyncio.sleep(0.02)
        done, _ = await asyncio.wait([admitting], timeout=0.5)

        # Then nobody is told, until the standby is not needed any more
        assert not done
        await owner.execute("alter system reset synchronous_standby_names")
        await owner.execute("select pg_reload_conf()")
        admission = await admitting
    assert await ledger.open_executions() == [admission.execution]


async def test_a_server_that_hangs_only_makes_everyone_wait(
    ledger: PostgresLedger, own_url: str, own_services: Services
) -> None:
    over = asyncio.Event()
    trading = asyncio.create_task(_trade_until(over, ledger))

    await asyncio.to_thread(own_services.postgres.pause)
    await asyncio.sleep(1)  # the silence itself
    await asyncio.to_thread(own_services.postgres.resume)
    over.set()

    await _everything_once(own_url, await trading)


async def test_commands_say_that_postgresql_is_away(own_url: str, own_services: Services) -> None:
    await asyncio.to_thread(own_services.postgres.stop)
    try:
        with pytest.raises(LedgerUnavailable, match=r"PostgreSQL does not answer .* Is it running") as refusal:
            await check(own_url)
        assert "postgresql://" not in str(refusal.value)
    finally:
        await asyncio.to_thread(own_services.postgres.restart)


async def _trade_until(over: asyncio.Event, ledger: PostgresLedger) -> int:
    """Carry out trades, some at a time, until it is over; returns how many."""
    done = 0
    while not over.is_set():
        await asyncio.gather(*(_carry_out(ledger, done + number) for number in range(AT_A_TIME)))
        done += AT_A_TIME
    return done


async def _carry_out(ledger: PostgresLedger, number: int) -> None:
    execution = (await ledger.admit(an_arrival(a_trade(f"RPM-{number}")))).execution
    for step in (written_ahead, accepted):
        execution = await ledger.record(step(execution))
    await ledger.record(filled(execution, 9000 + number))


async def _everything_once(url: str, trades: int) -> None:
    async with await connect(url, "test", PERSON_SESSION) as owner:
        cursor = await owner.execute("select state, revision, count(*) as n from ledger.executions group by 1, 2")
        assert await cursor.fetchall() == [{"state": "filled", "revision": 4, "n": trades}]
        for table in ("attempts", "deals", "confirmations", "outbox"):
            cursor = await owner.execute(f"select count(*) as n from ledger.{table}")  # noqa: S608 - tables of ours
            assert await cursor.fetchone() == {"n": trades}
        cursor = await owner.execute("select * from ledger.audit_events order by sequence")
        assert first_fault(AuditRow(**row) for row in await cursor.fetchall()) is None
