"""What is not urgent: a mark rides along with the next commit, and has one of its own only when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.integration.ledger.conftest import OpenLedger
from tests.integration.ledger.stories import a_refusal, a_trade, an_arrival
from worker.domain.message import PublishResult
from worker.ledger import commit
from worker.ledger.connection import Connection
from worker.ledger.ledger import PostgresLedger
from worker.metering import Unmetered

pytestmark = pytest.mark.services


class CommitMeter(Unmetered):
    """Remembers how many jobs each commit held."""

    def __init__(self) -> None:
        self.commits: list[int] = []

    def committed(self, jobs: int, seconds: float) -> None:  # noqa: ARG002 - the shape of a meter
        """Take note of a commit."""
        self.commits.append(jobs)


@pytest.fixture
def meter() -> CommitMeter:
    return CommitMeter()


@pytest.fixture
async def ledger(open_ledger: OpenLedger, meter: CommitMeter) -> PostgresLedger:
    """Lead a ledger that has told the world something."""
    ledger = await open_ledger(meter=meter)
    for _ in range(2):
        await ledger.refuse(a_refusal())
    meter.commits.clear()
    return ledger


async def test_marks_ride_along_with_what_is_urgent(
    ledger: PostgresLedger, database: Connection, meter: CommitMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "PATIENCE_SECONDS", 3600)
    ids = await _ids(ledger)

    marks = [asyncio.create_task(ledger.outbox.mark({one: PublishResult.CONFIRMED})) for one in ids]
    await asyncio.sleep(0)  # they have asked
    await ledger.admit(an_arrival(a_trade("RPM-1")))
    await asyncio.gather(*marks)

    assert meter.commits == [1 + len(ids)]
    assert await _rows(database) == 0


async def test_marks_alone_do_not_wait_for_ever(
    ledger: PostgresLedger, database: Connection, meter: CommitMeter
) -> None:
    ids = await _ids(ledger)

    async with asyncio.timeout(5):
        await asyncio.gather(*(ledger.outbox.mark({one: PublishResult.CONFIRMED}) for one in ids))

    assert meter.commits == [len(ids)]
    assert await _rows(database) == 0


@pytest.mark.parametrize("drain", [True, False])
async def test_a_ledger_that_is_closed_writes_marks_that_wait_if_it_is_to_drain(
    ledger: PostgresLedger, database: Connection, monkeypatch: pytest.MonkeyPatch, *, drain: bool
) -> None:
    monkeypatch.setattr(commit, "PATIENCE_SECONDS", 3600)
    ids = await _ids(ledger)

    marking = asyncio.create_task(ledger.outbox.mark(dict.fromkeys(ids, PublishResult.CONFIRMED)))
    await asyncio.sleep(0)  # it has asked
    await ledger.close(drain=drain)

    [outcome] = await asyncio.gather(marking, return_exceptions=True)
    assert (outcome is None) == drain
    assert await _rows(database) == (0 if drain else len(ids))


async def _ids(ledger: PostgresLedger) -> Sequence[int]:
    return [row.id for row in await ledger.outbox.pending(10)]


async def _rows(database: Connection) -> int:
    return (await database.execute("select from ledger.outbox")).rowcount
