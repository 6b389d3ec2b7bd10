"""What an operator sees of the ledger, and what is published again on request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.integration.ledger.stories import (
    RealClock,
    a_letter,
    a_trade,
    accepted,
    an_arrival,
    failed,
    filled,
    rejected,
    written_ahead,
)
from worker.domain.errors import NotFound
from worker.domain.execution import Execution
from worker.domain.message import PublishResult
from worker.ledger import operators
from worker.ledger.history import execution
from worker.ledger.ledger import PostgresLedger
from worker.ledger.operators import Operator, halt, operator, republish, resume
from worker.ledger.status import accounts, status

pytestmark = pytest.mark.services

LONG_AGO, FAR_AHEAD = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
async def desk(ledger_url: str) -> AsyncIterator[Operator]:
    async with operator(ledger_url, RealClock()) as desk:
        yield desk


async def test_a_trade_s_story_holds_everything_that_is_known_of_it(ledger: PostgresLedger, desk: Operator) -> None:
    ended = await _filled(ledger, "RPM-1", 9001)
    await ledger.take_in(a_letter(ended.message), None)

    by_trade, by_id = await execution(desk, "RPM-1"), await execution(desk, str(ended.execution_id))

    assert by_trade.events == by_id.events
    assert by_trade.execution == ended
    assert [attempt.number for attempt in by_trade.attempts] == [1]
    assert [event.kind for event in by_trade.events] == ["received", "submitting", "answered", "confirmed"]
    assert [(told.version, told.status) for told in by_trade.confirmations] == [(1, "filled")]


async def test_what_does_not_exist_is_not_found(ledger: PostgresLedger, desk: Operator) -> None:
    with pytest.raises(NotFound, match="no execution and no trade with the id RPM-9"):
        await execution(desk, "RPM-9")
    with pytest.raises(NotFound, match="no account other: it has main"):
        await halt(desk, "other", reason="x", by="ann")
    with pytest.raises(NotFound, match="no account other"):
        await status(desk, "other")
    assert await accounts(desk) == ["main"]
    assert not await resume(desk, "main", reason="x", by="ann")
    assert not list(ledger.halts)


async def test_status_counts_what_is_open_and_what_waits(ledger: PostgresLedger, desk: Operator) -> None:
    await _filled(ledger, "A", 9001)
    await ledger.record(
        failed(await ledger.record(written_ahead((await ledger.admit(an_arrival(a_trade("B")))).execution)))
    )
    waiting = (await ledger.admit(an_arrival(a_trade("C")))).execution
    today = replace(an_arrival(a_trade("D")), received_at=datetime.now(UTC))
    await ledger.record(rejected((await ledger.admit(today)).execution))
    await ledger.take_in(a_letter(), None)
    await halt(desk, "main", reason="news", by="ann")

    seen = await status(desk, "main")

    assert seen.executions_by_state == {"received": 1, "rejected": 1}  # open, or of the last 24 hours
    assert (seen.oldest_open_at, seen.outbox_size, seen.halt) == (waiting.received_at, 4, "halted by ann: news")
    assert (seen.is_led, seen.standbys) == (True, 0)
    assert seen.dead_letters_by_reason == {"malformed_json": 1}


@pytest.mark.usefixtures("ledger")
async def test_status_counts_the_workers_that_stand_by(desk: Operator, ledger_url: str) -> None:
    assert (await status(desk, "main")).standbys == 0
    stands_by = asyncio.Event()
    standby = await PostgresLedger.open(ledger_url, account="main", worker_id="host:2", clock=RealClock())
    waiting = asyncio.create_task(standby.lead(lambda _holder: stands_by.set()))

    await asyncio.wait_for(stands_by.wait(), 20)

    assert (await status(desk, "main")).standbys == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await standby.close(drain=False)


async def test_confirmations_of_a_window_are_published_again_byte_for_byte(
    ledger: PostgresLedger, desk: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        await ledger.record(rejected((await ledger.admit(an_arrival(a_trade(f"RPM-{number}")))).execution))
    first = await ledger.outbox.pending(100)
    await ledger.outbox.mark({row.id: PublishResult.CONFIRMED for row in first})
    monkeypatch.setattr(operators, "CHUNK", 3)

    assert await republish(desk, "main", LONG_AGO, FAR_AHEAD, by="ann") == 7
    assert await republish(desk, "main", LONG_AGO, LONG_AGO, by="ann") == 0

    again = await ledger.outbox.pending(100)
    assert [row.message for row in again] == [row.message for row in first]


async def _filled(ledger: PostgresLedger, order_id: str, deal_id: int) -> Execution:
    ended = (await ledger.admit(an_arrival(a_trade(order_id)))).execution
    for step in (written_ahead, accepted):
        ended = await ledger.record(step(ended))
    return await ledger.record(filled(ended, deal_id))
