"""`doctor --broker`: a canary flies when it is told to, is remembered, and keeps away from a working worker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fixtures.book import Book
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.stories import RealClock
from worker.ledger.ledger import PostgresLedger
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


def test_a_closed_market_is_said(bare: Desk) -> None:
    bare.say("db", "migrate")
    book = _book(bare, "closed")

    told = bare.say("doctor", "--broker", "--yes", "--symbol", "EURUSD.closed", MT5_SIMULATED_BOOK=str(book))

    assert (told.code, told.out) == (1, "")
    assert "market closed" in told.err


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
