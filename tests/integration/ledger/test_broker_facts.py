"""What canaries have measured is kept: for the worker the newest of each symbol, for people all of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from tests.integration.ledger.conftest import OpenLedger, user_of
from tests.integration.ledger.stories import RealClock
from tests.unit.cli.test_measured import FACTS
from worker.domain.broker_facts import BrokerFacts, Kept, Lags
from worker.domain.errors import Refused
from worker.ledger.broker_facts import insist_on_no_leader, of_account, store
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import operator

pytestmark = pytest.mark.services

EARLIER = replace(FACTS, measured_at=FACTS.measured_at - timedelta(days=1), lags=Lags(9, 9, 9, 9))
GOLD = replace(FACTS, symbol="XAUUSD", deal=Kept(magic=False, comment=0))
ELSEWHERE = replace(FACTS, venue=replace(FACTS.venue, login=8), measured_at=FACTS.measured_at - timedelta(hours=1))


async def _store(url: str, *measured: BrokerFacts) -> None:
    async with operator(url, RealClock()) as desk:
        for facts in measured:
            await store(desk, facts, account="main", by="ann@desk")


async def test_a_worker_learns_the_newest_of_each_symbol_of_its_login(ledger_url: str, ledger: PostgresLedger) -> None:
    await _store(ledger_url, FACTS, EARLIER, GOLD, ELSEWHERE)

    known = {facts.symbol: facts for facts in await ledger.broker_facts("Broker-Demo", 7)}

    assert known.keys() == {"EURUSD.r", "XAUUSD"}
    assert (known["EURUSD.r"].history_lag, known["EURUSD.r"].measured_at) == (0.3, FACTS.measured_at)
    assert (known["XAUUSD"].keeps_magic, known["XAUUSD"].keeps_comment) == (False, False)
    assert await ledger.broker_facts("Broker-Live", 7) == []


async def test_a_person_sees_those_of_the_login_that_flew_last(ledger_url: str) -> None:
    await _store(ledger_url, ELSEWHERE, FACTS, GOLD)

    async with operator(ledger_url, RealClock()) as desk:
        known = await of_account(desk, "main")

    assert {(facts.login, facts.symbol, facts.measured_by) for facts in known} == {
        (7, "EURUSD.r", "ann@desk"),
        (7, "XAUUSD", "ann@desk"),
    }


async def test_all_of_it_is_there_for_a_database_administrator(ledger_url: str, database: Connection) -> None:
    await _store(ledger_url, FACTS)

    cursor = await database.execute("select account, facts from ledger.broker_facts")
    (row,) = await cursor.fetchall()

    assert row["account"] == "main"
    assert row["facts"]["checks"] == {"0": 10030, "1": 0, "2": None}
    assert row["facts"]["venue"]["mode"] == "demo"


@pytest.mark.parametrize(("role", "may"), [("mt5_worker", True), ("mt5_operator", True), ("mt5_auditor", False)])
async def test_who_may_store_one(ledger_url: str, database: Connection, role: str, *, may: bool) -> None:
    url = await user_of(database, ledger_url, role=role)

    if may:
        await _store(url, FACTS)
    else:
        with pytest.raises(Refused, match="needs the role mt5_operator; nothing was changed"):
            await _store(url, FACTS)
    async with operator(url, RealClock()) as desk:
        assert len(await of_account(desk, "main")) == int(may)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await desk.connection.execute("update ledger.broker_facts set history_lag = 0")


async def test_a_login_that_a_worker_leads_is_refused_under_whatever_name(
    ledger_url: str, open_ledger: OpenLedger
) -> None:
    leading = await open_ledger("desk-2", "host:9")
    await leading.lease.bind("native", "Broker-Demo", 7)
    await leading.lease.renew({})

    async with operator(ledger_url, RealClock()) as desk:
        with pytest.raises(Refused, match="worker host:9 leads account desk-2"):
            await insist_on_no_leader(desk, "Broker-Demo", 7)
        await insist_on_no_leader(desk, "Broker-Demo", 8)
        await leading.close()
        await insist_on_no_leader(desk, "Broker-Demo", 7)
