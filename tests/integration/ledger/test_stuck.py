"""Whoever stands still while it has the account's row locked keeps nobody waiting for longer than the lease."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import psycopg
import pytest
from structlog.testing import capture_logs

from tests.faults.proxy import Proxy
from tests.faults.wire_formats import Towards
from tests.integration.ledger.conftest import OpenLedger
from tests.integration.ledger.frozen import AMID, BETWEEN
from tests.integration.ledger.stories import RealClock, a_trade, an_arrival, rejected
from worker.domain.errors import LeaseLost
from worker.ledger import line
from worker.ledger.connection import PERSON_SESSION, Connection, connect
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import operator
from worker.ledger.statements import sql
from worker.ports import Anchor, Change

pytestmark = [pytest.mark.services, pytest.mark.timeout(60)]

TAKEN_OVER_WITHIN = 15  # seconds, on a busy machine; the lease is 5


@pytest.mark.parametrize("moment", [BETWEEN, AMID])
async def test_a_worker_that_is_stopped_in_the_middle_of_a_commit_is_replaced_and_fenced_out(
    worker_url: str, database: Connection, moment: str
) -> None:
    # Given a worker that holds the account's row and, for PostgreSQL, has ended a round trip or is in the middle of one
    async with _frozen_worker(worker_url, moment) as frozen:
        # When another one wants the account
        standby = await PostgresLedger.open(worker_url, account="main", worker_id="host:2", clock=RealClock())
        async with asyncio.timeout(TAKEN_OVER_WITHIN):
            await standby.lead()

        # Then it has it, and the first one, awake again, can write nothing
        os.kill(frozen.pid, signal.SIGCONT)
        told, _ = await frozen.communicate()
        assert told.endswith(b"fenced out\n")
    await standby.admit(an_arrival(a_trade("B")))
    await standby.close()
    cursor = await database.execute("select trade_id from ledger.executions")
    assert await cursor.fetchall() == [{"trade_id": "B"}]


async def test_a_worker_whose_wire_leads_nowhere_in_the_middle_of_a_commit_is_replaced(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "WORK_SECONDS", 3.0)
    with Proxy(ledger_url) as proxy:
        # Given a worker that PostgreSQL hears nothing of any more, and that hears nothing of PostgreSQL
        cut_off = await PostgresLedger.open(proxy.url, account="main", worker_id="host:1", clock=RealClock())
        await cut_off.lead()
        recording = asyncio.create_task(_record_while(proxy.stall, cut_off))

        # When another one wants the account
        standby = await PostgresLedger.open(ledger_url, account="main", worker_id="host:2", clock=RealClock())
        async with asyncio.timeout(TAKEN_OVER_WITHIN):
            await standby.lead()

        # Then the first one learns it as soon as it can
        proxy.heal()
        with pytest.raises(LeaseLost):
            await recording
        await standby.close()
        await cut_off.close(drain=False)


async def test_a_wire_that_leads_nowhere_is_given_up_for_a_new_one(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "WORK_SECONDS", 1.0)
    with Proxy(ledger_url) as proxy:
        ledger = await PostgresLedger.open(proxy.url, account="main", worker_id="host:1", clock=RealClock())
        await ledger.lead()

        recorded = await _record_while(lambda: proxy.lose(Towards.SERVER), ledger)

        assert await ledger.find_by_token(recorded) is not None
        await ledger.close()


async def test_a_command_that_is_stopped_in_the_middle_of_a_change_does_not_stop_the_worker(
    ledger_url: str, open_ledger: OpenLedger
) -> None:
    ledger = await open_ledger()
    renewing = asyncio.create_task(ledger.lease.keep(dict))

    # Given a command that has the row locked, in a pipeline that it never finishes
    async with await connect(ledger_url, "mt5-worker operator", PERSON_SESSION) as stopped:
        with suppress(psycopg.OperationalError):
            async with stopped.pipeline():
                await stopped.execute("begin")
                await (await stopped.execute(sql("lock_account"), {"account": "main"})).fetchone()

                # Then the worker goes on after a while
                async with asyncio.timeout(TAKEN_OVER_WITHIN):
                    await ledger.admit(an_arrival())
    renewing.cancel()
    async with operator(ledger_url, RealClock()) as desk:
        cursor = await desk.connection.execute("select lease_epoch from ledger.accounts")
        assert await cursor.fetchall() == [{"lease_epoch": 1}]


async def _record_while(something_happens: Callable[[], None], ledger: PostgresLedger) -> int:
    """Record a step; while its transaction is open, something happens. Returns the trade's token."""
    change = rejected((await ledger.admit(an_arrival())).execution)
    assert change.confirmation is not None
    happenings = [something_happens]

    def render(_anchor: Anchor | None) -> bytes:
        if happenings:
            happenings.pop()()
        return b"{}"

    await ledger.record(Change(change.after, confirmation=replace(change.confirmation, render=render)))
    return change.after.token


async def test_a_disk_that_is_full_is_told_once_and_trades_go_on_when_it_is_not(
    ledger: PostgresLedger, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "QUIET_SECONDS", 0.1)
    await database.execute(
        "create function no_space() returns trigger language plpgsql as "
        "$$ begin raise 'No space left on device' using errcode = 'disk_full'; end $$; "
        "create trigger no_space before insert on ledger.executions for each row execute function no_space()"
    )

    with capture_logs() as lines:
        admitting = asyncio.create_task(ledger.admit(an_arrival(a_trade())))
        while not any(one["event"] == "postgresql refuses" for one in lines):  # noqa: ASYNC110 - a log gives no event
            await asyncio.sleep(0.02)
        await database.execute("drop function no_space() cascade")
        assert (await admitting).execution.account == "main"

    [told] = [one for one in lines if one["event"] == "postgresql refuses"]
    assert told["why"].startswith("No space left on device")


@asynccontextmanager
async def _frozen_worker(url: str, moment: str) -> AsyncIterator[Process]:
    program = (sys.executable, "-m", "tests.integration.ledger.frozen", url, moment)
    worker = await asyncio.create_subprocess_exec(*program, stdout=PIPE)
    try:
        assert worker.stdout is not None
        assert await worker.stdout.readline() == b"frozen\n"
        yield worker
    finally:
        with suppress(ProcessLookupError):
            worker.kill()
        await worker.communicate()
