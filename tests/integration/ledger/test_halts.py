"""Halts of an account and of symbols: from their commit on nothing is written ahead, and every worker comes to know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.integration.ledger.conftest import OpenLedger
from tests.integration.ledger.stories import NOON, RealClock, a_trade, accepted, an_arrival, written_ahead
from worker.domain.errors import HaltedAtCommit, NotFound
from worker.domain.execution import Execution
from worker.domain.halts import Halt
from worker.domain.limits import Order
from worker.domain.trade import Direction
from worker.ledger import halting, operators
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import Operator, halt, halts, locked, operator, resume
from worker.ports import Change, Orphan

pytestmark = pytest.mark.services


@pytest.fixture
async def desk(ledger_url: str) -> AsyncIterator[Operator]:
    async with operator(ledger_url, RealClock()) as desk:
        yield desk


async def test_only_the_halted_symbol_is_not_written_ahead(ledger: PostgresLedger, desk: Operator) -> None:
    euro, yen = await _new(ledger, "A", "EURUSD"), await _new(ledger, "B", "USDJPY")

    await halt(desk, "main", reason="ECB", by="ann", symbols=["EURUSD", "EURJPY"], hold=True)

    with pytest.raises(HaltedAtCommit, match=r"^EURUSD is halted by ann: ECB; nothing was sent$") as refused:
        await ledger.record(written_ahead(euro))
    assert refused.value.halt.hold
    await ledger.record(written_ahead(yen))
    lifted = await resume(desk, "main", reason="over", by="bob", symbols=["EURUSD", "GBPUSD"])
    assert [one.symbol for one in lifted] == ["EURUSD"]
    await ledger.record(written_ahead(euro))
    assert [one.symbol for one in await halts(desk, "main")] == ["EURJPY"]


@pytest.mark.parametrize("symbol", [None, "EURUSD"], ids=["account", "symbol"])
async def test_a_write_ahead_that_has_waited_for_a_halt_sees_it(
    ledger: PostgresLedger, desk: Operator, database: Connection, symbol: str | None
) -> None:
    # A statement that has waited for a row's lock reads that row anew, and everything else as it was when it began.
    execution = await _new(ledger, "A", "EURUSD")

    async with locked(desk, "main") as (row, page):
        writing = asyncio.create_task(ledger.record(written_ahead(execution)))
        while not await _somebody_waits(database):
            assert not writing.done()
            await asyncio.sleep(0.01)
        halting.write(page, row.halts.put(Halt("odd fills", "ann", NOON, symbol)))

    with pytest.raises(HaltedAtCommit):
        await writing


async def test_a_halt_is_complete_when_what_was_written_ahead_before_it_has_its_answer(
    ledger: PostgresLedger, desk: Operator, database: Connection
) -> None:
    # Given an order that is just being sent
    execution = await ledger.record(_just_now(written_ahead(await _new(ledger, "A", "EURUSD"))))
    begun = asyncio.Event()

    # When its symbol is halted
    coming = asyncio.create_task(
        halt(desk, "main", reason="odd fills", by="ann", symbols=["EURUSD"], on_begun=begun.set)
    )
    await begun.wait()

    # Then it stands at once: the next look wakes whoever waits for a change; nobody else is kept waiting
    waiting = asyncio.create_task(ledger.halts_changed())
    await ledger.halts_changed(within=0.01)
    assert not waiting.done()
    await ledger.lease.renew({})
    async with asyncio.timeout(1):
        await waiting
    assert str(ledger.halts.of("EURUSD")) == "EURUSD is halted by ann: odd fills"
    assert (await _told(database))[-1][:2] == ("halting", "EURUSD")

    # And it is called complete when that order is answered
    await ledger.record(accepted(execution))
    assert await coming == 0
    assert [event[0] for event in await _told(database)][-3:] == ["halting", "answered", "halted"]


async def test_a_halt_waits_no_longer_than_a_send_may_begin(
    ledger: PostgresLedger, desk: Operator, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operators, "SENT_WITHIN", timedelta(0))
    await ledger.record(written_ahead(await _new(ledger, "A", "EURUSD")))  # by a worker whose clock is months behind

    assert await halt(desk, "main", reason="odd fills", by="ann", symbols=["USDJPY"]) == 0
    assert await halt(desk, "main", reason="odd fills", by="ann") == 1

    assert (await _told(database))[-1] == ("halted", None, "odd fills", False)


async def test_a_halt_that_is_lifted_meanwhile_is_never_called_complete(
    ledger: PostgresLedger, ledger_url: str, desk: Operator, database: Connection
) -> None:
    execution = await ledger.record(_just_now(written_ahead(await _new(ledger, "A", "EURUSD"))))
    begun = asyncio.Event()
    coming = asyncio.create_task(halt(desk, "main", reason="odd fills", by="ann", on_begun=begun.set))
    await begun.wait()

    async with operator(ledger_url, RealClock()) as other:
        await resume(other, "main", reason="a mistake", by="bob")
    await ledger.record(accepted(execution))
    await coming

    assert [event[0] for event in await _told(database)][-3:] == ["halting", "resumed", "answered"]


async def test_the_trail_tells_of_every_change(ledger: PostgresLedger, desk: Operator, database: Connection) -> None:
    await halt(desk, "main", reason="news", by="ann", hold=True)
    await halt(desk, "main", reason="worse", by="bob")
    await halt(desk, "main", reason="ECB", by="ann", symbols=["EURUSD"], hold=True)
    await resume(desk, "main", reason="over", by="bob")

    with pytest.raises(NotFound, match="no account other: it has main"):
        await halts(desk, "other")
    assert list(ledger.halts) == []
    await ledger.lease.renew({})
    assert [(one.symbol, one.hold) for one in ledger.halts] == [("EURUSD", True)]
    assert await _told(database) == [
        ("halting", None, "news", True),
        ("halted", None, "news", True),
        ("halting", None, "worse", False),
        ("halted", None, "worse", False),
        ("halting", "EURUSD", "ECB", True),
        ("halted", "EURUSD", "ECB", True),
        ("resumed", None, "over", None),
    ]


async def test_what_the_worker_finds_turns_a_hold_into_a_halt(ledger: PostgresLedger, desk: Operator) -> None:
    await halt(desk, "main", reason="news", by="ann", hold=True)

    await ledger.report_orphans([Orphan(1 << 42 | 1, 7001, "EURUSD")])

    assert ledger.halts.account is not None
    assert not ledger.halts.account.hold
    assert "(before that halted by ann: news)" in ledger.halts.account.reason


async def test_the_next_worker_knows_what_is_halted_and_what_was_sent_lately(
    open_ledger: OpenLedger, desk: Operator
) -> None:
    first = await open_ledger()
    execution = await first.record(_just_now(written_ahead(await _new(first, "A", "EURUSD"))))
    await first.record(written_ahead(await _new(first, "B", "EURUSD")))  # at noon, months ago
    await halt(desk, "main", reason="ECB", by="ann", symbols=["USDJPY"], hold=True)
    await first.close()

    second = await open_ledger(worker_id="host:2")

    halt_of = second.halts.of("USDJPY")
    assert halt_of is not None
    assert (halt_of.by, halt_of.hold, halt_of.at.tzinfo) == ("ann", True, UTC)
    assert second.halts.of("EURUSD") is None
    lately = await second.orders_since(datetime.now(UTC) - timedelta(minutes=1))

    assert [order for _, order in lately] == [Order("EURUSD", Direction.LONG, Decimal(100_000), is_retry=False)]
    assert lately[0][0] >= execution.received_at


async def _new(ledger: PostgresLedger, order_id: str, symbol: str) -> Execution:
    trade = a_trade(order_id)
    return (await ledger.admit(an_arrival(replace(trade, decision=replace(trade.decision, symbol=symbol))))).execution


def _just_now(change: Change) -> Change:
    assert change.attempt is not None
    return replace(change, attempt=replace(change.attempt, written_at=datetime.now(UTC)))


async def _told(database: Connection) -> list[tuple[str, str | None, str, bool | None]]:
    """Return what the trail tells of halts, and of the answers between them."""
    cursor = await database.execute(
        "select kind, payload from ledger.audit_events where kind in ('halting', 'halted', 'resumed', 'answered')"
        " order by sequence"
    )
    told = [(row["kind"], json.loads(row["payload"])) for row in await cursor.fetchall()]
    return [(kind, about.get("symbol"), about.get("reason"), about.get("hold")) for kind, about in told]


async def _somebody_waits(database: Connection) -> bool:
    cursor = await database.execute(
        "select count(*) as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    return bool((await cursor.fetchall())[0]["n"])
