"""How far back the polls look: seconds, now and then an hour, and as far as the terminal was out of reach."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.domain.stories import NOW
from worker.domain.errors import TerminalUnavailable
from worker.domain.market import BrokerDeal, Poll, PollRequest, SendReport, SendStatus
from worker.domain.token import base_token
from worker.pipeline.watch import SHOWN_WITHIN_SECONDS, Watch
from worker.ports import Watermark

TOKEN = base_token(7, 5)
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


async def test_what_a_poll_has_waited_behind_sends_is_no_reason_to_leave_the_terminal_alone() -> None:
    # Given polls that keep the terminal for 2 ms, and come half a second late; more is wanted each time
    polls = Polls()
    watch = polls.watch(interval=3600)

    def wanted_again() -> Poll:
        watch.look_now()
        return Poll(None, readable=True, took=0.002)

    polls.script = [wanted_again] * 5

    # Then they follow one another, with a rest of milliseconds
    await polls.run(watch)
    assert len(polls.since) == 5


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


def shows(order: int, ticket: int) -> Callable[[], Poll]:
    deal = BrokerDeal(ticket, order, TOKEN, 7, "EURUSD", Decimal(1), Decimal(1), Decimal(0), Decimal(0), NOW, "")
    return lambda: Poll(None, readable=True, deals=(deal,))


def answer(order: int, deal: int) -> SendReport:
    return SendReport(SendStatus.ANSWERED, retcode=10009, order_ticket=order, deal_ticket=deal)


def watched(polls: Polls) -> Watch:
    watch = polls.watch()
    watch.register(TOKEN)
    return watch


async def test_a_deal_that_an_answer_names_must_be_in_every_history_once_it_must_be_shown() -> None:
    # Given a broker that shows deals under the numbers that its answers name, and polls of half a second
    polls = Polls(shows(order=70, ticket=80), *[read] * 25)
    watch = watched(polls)
    watch.answered(answer(order=70, deal=80))

    # When later answers name deals that are not shown, and one names none
    for deal in (82, 81, 0):
        watch.answered(answer(order=deal - 10, deal=deal))
    await polls.run(watch)

    # Then the newest of them is to be found by every search after 10 s, and no other number is
    assert [watermark.newest_deal for watermark in polls.told if watermark.newest_deal is not None] == [82]
    assert polls.told.index(Watermark(newest_deal=82)) == 2 * SHOWN_WITHIN_SECONDS


async def test_what_an_answer_names_is_believed_although_the_terminal_that_answers_shows_nothing() -> None:
    polls = Polls(shows(order=70, ticket=80), *[unreadable] * 25)
    watch = watched(polls)
    for order, deal in ((70, 80), (71, 81)):
        watch.answered(answer(order, deal))
    await polls.run(watch)
    assert Watermark(newest_deal=81) in polls.told


async def test_a_broker_that_shows_later_than_it_was_seen_to_is_given_its_lag() -> None:
    polls = Polls(shows(order=70, ticket=80), *[read] * 25)
    watch = watched(polls)
    watch.reckon_with(30)
    for order, deal in ((70, 80), (71, 81)):
        watch.answered(answer(order, deal))
    await polls.run(watch)
    assert all(watermark.newest_deal is None for watermark in polls.told)


@pytest.mark.parametrize(
    "shown",
    [
        [],  # nothing was ever seen of what its answers name
        [shows(order=70, ticket=90)],  # it names deals by other numbers
        [shows(order=70, ticket=80), shows(order=71, ticket=90)],  # it does so now
        [shows(order=60, ticket=80)],  # another order's deal has that number
    ],
)
async def test_a_number_that_may_never_be_shown_makes_no_history_wanting(shown: list[Callable[[], Poll]]) -> None:
    polls = Polls(*shown, *[read] * 25)
    watch = watched(polls)
    for order, deal in ((70, 80), (71, 81), (72, 82)):
        watch.answered(answer(order, deal))
    await polls.run(watch)
    assert all(watermark.newest_deal is None for watermark in polls.told)
