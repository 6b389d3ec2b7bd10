"""`doctor --broker`: a canary flies when it is told to, is remembered, and keeps away from a working worker."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fixtures.book import Book
from tests.fixtures.worker_process import run_command
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.stories import RealClock
from tests.unit.cli.test_measured import FACTS, GONE
from worker.domain.broker_facts import BrokerFacts
from worker.ledger.broker_facts import store
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import operator
from worker.mt5.file_lock import hold, lock_file_of_book

pytestmark = pytest.mark.services


def _book(desk: Desk, name: str) -> Path:
    return Path(desk.folder) / f"{name}.sqlite"


def test_a_canary_is_flown_stored_and_remembered(bare: Desk) -> None:
    # Given a ledger, and a broker that nobody has measured
    bare.say("db", "migrate")
    book = _book(bare, "measured")
    assert not any(one["check"] == "canary" for one in bare.say("doctor", "--json").json)

    # When a canary is flown without being asked
    flown = bare.say("doctor", "--broker", "--yes", "--json", "--by", "ann", MT5_SIMULATED_BOOK=str(book))

    # Then it has opened and closed one position, and says what it found
    assert flown.code == 0, flown.err
    assert flown.json["facts"]["order"] == {"magic": True, "comment": 29}
    assert {one["verdict"] for one in flown.json["findings"]} == {"ok"}
    assert "buy 0.01 lots of EURUSD" in flown.err
    assert (len(Book(book).traded()), Book(book).rows("positions")) == (2, [])

    # And the doctor remembers it
    (canary,) = [one for one in bare.say("doctor", "--json").json if one["check"] == "canary"]
    assert "EURUSD at Simulated-Demo, login 50000001, 0 min ago" in canary["detail"]
    assert "by ann): magic kept, comment kept" in canary["detail"]


def test_without_a_yes_nothing_is_sent(bare: Desk) -> None:
    bare.say("db", "migrate")
    book = _book(bare, "unasked")

    asked = bare.say("doctor", "--broker", "--symbol", "GBPUSD", given="n\n", MT5_SIMULATED_BOOK=str(book))

    assert asked.code == 1
    assert "buy 0.01 lots of GBPUSD" in asked.err
    assert Book(book).traded() == []


def test_a_symbol_is_named_as_rpm_names_it(bare: Desk) -> None:
    bare.say("db", "migrate")
    settings = {"MT5_SIMULATED_BOOK": str(_book(bare, "mapped")), "SYMBOL_MAP": '{"EURUSD": "EURUSD.nocomment"}'}

    flown = bare.say("doctor", "--broker", "--yes", "--json", **settings)

    assert flown.code == 0
    assert flown.json["facts"]["symbol"] == "EURUSD.nocomment"
    assert {one["check"] for one in flown.json["findings"] if one["verdict"] == "warn"} == {"comment"}


def test_while_a_worker_leads_the_account_no_canary_flies(bare: Desk) -> None:
    bare.say("db", "migrate")
    book = _book(bare, "led")

    async def lead_and_ask() -> tuple[int, str]:
        ledger = await PostgresLedger.open(
            bare.settings["POSTGRES_URL"], account="main", worker_id="host:9", clock=RealClock()
        )
        await ledger.lead()
        await ledger.lease.renew({})
        try:
            ask = ("doctor", "--broker", "--yes")
            told = await asyncio.to_thread(lambda: bare.say(*ask, MT5_SIMULATED_BOOK=str(book)))
        finally:
            await ledger.close()
        return told.code, told.err

    code, said = asyncio.run(lead_and_ask())

    assert code == 1
    assert "worker host:9 leads account main" in said
    assert not book.exists()


def test_a_terminal_that_a_worker_holds_is_left_to_it(bare: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.cli.doctor.broker.PATIENCE_SECONDS", 3.0)
    bare.say("db", "migrate")
    book = _book(bare, "held")

    with hold(lock_file_of_book(book, "main"), 1):
        told = bare.say("doctor", "--broker", "--yes", MT5_SIMULATED_BOOK=str(book))

    assert told.code == 3
    assert "another process is using this terminal" in " ".join(told.err.split())


def test_a_worker_does_not_start_on_a_broker_that_drops_the_magic(bare: Desk, tmp_path: Path) -> None:
    # Given that a canary has found so
    bare.say("db", "migrate")
    venue = replace(FACTS.venue, server="Simulated-Demo", login=50_000_001)
    asyncio.run(_store(bare.settings["POSTGRES_URL"], replace(FACTS, venue=venue, deal=GONE)))

    # When a worker is started there
    settings = {**bare.settings, "MT5_SIMULATED_BOOK": str(_book(bare, "dropped"))}
    done = run_command("run", settings=settings, folder=tmp_path)

    # Then it ends, and says what to do
    assert done.code == 2, done.said
    assert "Simulated-Demo does not keep the magic number" in done.err
    assert "fly the canary again (`mt5-worker doctor --broker`): the newest decides" in " ".join(done.err.split())
    assert "Traceback" not in done.said


async def _store(url: str, facts: BrokerFacts) -> None:
    async with operator(url, RealClock()) as desk:
        await store(desk, facts, account="main", by="ann")
