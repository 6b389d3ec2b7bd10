"""How far back the polls look: seconds, now and then an hour, and as far as the terminal was out of reach."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.unit.domain.stories import NOW
from worker.domain.errors import TerminalUnavailable
from worker.domain.market import Poll, PollRequest, SendReport, SendStatus
from worker.pipeline.watch import Watch
from worker.ports import Watermark

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Polls:
    """A terminal, a ledger and both clocks: answers one poll after the other as the script says, then no more."""

    namespaces = frozenset({7})
    watermark = Watermark(NOW - DAY)

    def __init__(self, *script: Callable[[], Poll]) -> None:
        self.script = list(script)
        self.since: list[timedelta] = []  # before the poll
        self.passed = 0.0
        self.told: list[Watermark] = []
        self.over = asyncio.Event()

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def compared(self, watermark: Watermark) -> None:
        self.told.append(watermark)

    async def poll(self, request: PollRequest) -> Poll:
        if not self.script:
            self.over.set()
            await asyncio.Event().wait()
        self.since.append(self.now() - request.since)
        answer = self.script.pop(0)()
        self.passed += 0.5
        return answer

    async def run(self, watch: Watch | None = None) -> None:
        running = asyncio.create_task((watch or self.watch()).run())
        async with asyncio.timeout(5):
            await self.over.wait()
        running.cancel()

    def watch(self, interval: float = 0.001) -> Watch:
        me: Any = self
        return Watch(me, me, interval, me, _nothing_late)


async def _nothing_late(_evidence: object) -> None:
    raise AssertionError("nothing was seen")


def read() -> Poll:
    return Poll(None, readable=True)


def unreadable() -> Poll:
    return Poll(None, readable=False)


def away() -> Poll:
    raise TerminalUnavailable("it is being restarted")


async def test_a_poll_looks_back_seconds_and_only_now_and_then_an_hour() -> None:
    polls = Polls(*[read] * 100)
    await polls.run()
    assert polls.since[0] == 2 * DAY
    assert [number for number, since in enumerate(polls.since) if since >= HOUR] == [0, 61]
    assert max(polls.since[1:61]) < timedelta(seconds=10)


@pytest.mark.parametrize("outage", [away, unreadable])
async def test_after_an_outage_polls_look_back_to_its_beginning_until_the_history_must_be_loaded(
    outage: Callable[[], Poll],
) -> None:
    """A terminal shows an empty history at first: what happened three hours ago comes later than that."""

    def an_outage_of_three_hours() -> Poll:
        polls.passed += 3 * 3600
        return outage()

    polls = Polls(read, an_outage_of_three_hours, *[read] * 100)
    await polls.run()
    assert [number for number, since in enumerate(polls.since) if since >= 3 * HOUR] == [0, 2, 63]
    assert {watermark.looked_until for watermark in polls.told} == {NOW}


@pytest.mark.parametrize(("until", "since"), [(None, -DAY), (NOW - HOUR, -DAY - HOUR), (NOW + 99 * DAY, -DAY)])
def test_recovery_looks_back_a_day_behind_the_watermark_but_never_from_the_future(
    until: datetime | None, since: timedelta
) -> None:
    assert Watermark(until).since(NOW) == NOW + since


@pytest.mark.parametrize(("measured", "lag"), [(0.2, 0.5), (7.5, 7.5), (900.0, 60.0)])
def test_a_lag_that_was_measured_before_is_the_least_to_reckon_with(measured: float, lag: float) -> None:
    """Absence is proved by looks that lie further apart than this."""
    watch = Polls().watch(0.5)

    watch.reckon_with(measured)
    watch.reckon_with(0.1)

    assert watch.lag == lag


async def test_a_deal_that_an_answer_names_must_be_in_every_history_once_it_must_be_shown() -> None:
    # Given a broker that was seen to show an accepted order 0.7 s late, and polls of half a second
    polls = Polls(*[read] * 5)
    watch = polls.watch()
    watch.reckon_with(0.7)

    # When sends are answered with deals, and one without
    for deal in (81, 80, 0):
        watch.answered(SendReport(SendStatus.ANSWERED, retcode=10009, deal_ticket=deal))
    await polls.run(watch)

    # Then the newest of them is to be found by every search, from that time on
    assert [watermark.newest_deal for watermark in polls.told if watermark.newest_deal is not None] == [81]
    assert polls.told.index(Watermark(newest_deal=81)) == 2


async def test_what_an_answer_names_is_believed_although_the_terminal_that_answers_shows_nothing() -> None:
    polls = Polls(*[unreadable] * 4)
    watch = polls.watch()
    watch.answered(SendReport(SendStatus.ANSWERED, retcode=10009, deal_ticket=81))
    await polls.run(watch)
    assert polls.told == [Watermark(newest_deal=81)]
