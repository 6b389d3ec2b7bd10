"""An order that the broker has taken: its end is recorded with the answer when it shows within a moment, else later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.domain.stories import NOW, a_tick, an_execution, an_instrument
from tests.unit.pipeline.hidden_broker import LOTS, TENTH, HiddenBroker
from worker.domain.checks import Measures
from worker.domain.execution import Execution, State, Venue
from worker.domain.halts import Halts
from worker.domain.limits import OrderLimits, Throttle
from worker.domain.market import (
    BrokerDeal,
    BrokerOrder,
    OrderRequest,
    OrderState,
    Poll,
    PollRequest,
    SendReport,
    SendStatus,
)
from worker.pipeline import submit
from worker.pipeline.flow import _to_its_end
from worker.pipeline.runway import Runways
from worker.pipeline.settle import Settler
from worker.pipeline.submit import Submitter
from worker.pipeline.turns import Turns
from worker.pipeline.watch import Watch
from worker.ports import Change, Watermark
from worker.settings import Settings


@dataclass
class Desk:
    """A ledger, a terminal and a broker: it takes each order, and `then` does with it what the story says."""

    then: Callable[[HiddenBroker], None] = lambda broker: broker.fill(LOTS)
    shows: asyncio.Event = field(default_factory=asyncio.Event)  # until it is set, polls show nothing
    broker: HiddenBroker = field(default_factory=HiddenBroker)
    changes: list[Change] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    answered_at: float = 0.0
    halts = Halts()
    lease_left = 5.0
    namespaces: frozenset[int] = frozenset()
    watermark = Watermark()

    def __post_init__(self) -> None:
        me: Any = self
        self.watch = Watch(me, me, 0.001, me, me.nothing_late)
        settings, throttle = Settings(_env_file=None), Throttle(OrderLimits())
        runways = Runways(self.sender_of)
        self.submitter = Submitter(me, me, me, settings, Settler(me, me, "here"), runways, throttle, self.watch)

    def sender_of(self, _symbol: str) -> str:
        return "main"

    async def submit(self, order: OrderRequest) -> SendReport:
        ticket = self.broker.take(order.magic).ticket
        self.then(self.broker)
        self.answered_at = self.monotonic()
        self.answered.set()
        return SendReport(SendStatus.ANSWERED, retcode=10009, order_ticket=ticket, reply={"retcode": 10009})

    async def poll(self, _request: PollRequest) -> Poll:
        await asyncio.sleep(0)
        sights = self.broker.sights if self.shows.is_set() else []
        orders = tuple(sight for sight in sights if isinstance(sight, BrokerOrder))
        deals = tuple(sight for sight in sights if isinstance(sight, BrokerDeal))
        return Poll(None, readable=True, orders=orders, deals=deals)

    async def record(self, change: Change) -> Execution:
        await asyncio.sleep(0)
        self.changes.append(change)
        return change.after

    def compared(self, watermark: Watermark) -> None:
        self.watermark = watermark

    async def nothing_late(self, _evidence: object) -> None:
        raise AssertionError("all of it is the trade's own")

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return time.monotonic()

    async def send(self) -> Execution:
        """Send a trade of one lot while the terminal is polled."""
        venue = Venue("simulated", "Demo", 1, "simulated")
        execution = an_execution(
            venue=venue, requested_lots=LOTS, contract_size=Decimal(100_000), pip_size=Decimal("0.0001")
        )
        measures = Measures(an_instrument(), a_tick(), a_tick().ask, LOTS, Decimal("0.0001"), Decimal(10))
        self.watch.register(execution.token)
        polling = asyncio.create_task(self.watch.run())
        try:
            async with asyncio.timeout(10):
                return await self.submitter.submit(execution, measures, Turns().join("EURUSD"))
        finally:
            polling.cancel()

    @property
    def answer(self) -> Change:
        """The step in which the answer was recorded: the one after the write-ahead."""
        return self.changes[1]


@pytest.fixture
def long_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "MOMENT_SECONDS", 5.0)


@pytest.fixture
def short_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "MOMENT_SECONDS", 0.01)


@pytest.mark.usefixtures("long_moment")
async def test_an_order_that_is_filled_at_once_is_recorded_in_one_step_with_its_answer() -> None:
    desk = Desk()
    desk.shows.set()

    ended = await desk.send()

    assert ended.state is State.FILLED
    assert len(desk.changes) == 2  # the write-ahead, and all that came of it
    assert [event.kind for event in desk.answer.events] == ["answered", "settled"]
    assert desk.answer.events[0].payload["reply"] == {"retcode": 10009}
    assert desk.answer.attempt is not None
    assert (desk.answer.attempt.outcome, desk.answer.attempt.order_ticket) == ("accepted", 700)
    assert [deal.deal_id for deal in desk.answer.deals] == [9001]
    assert desk.answer.confirmation is not None
    assert (ended.order_ticket, ended.sends, ended.version, ended.revision) == (700, 1, 1, 3)
    assert ended.accepted_at is not None


@pytest.mark.usefixtures("long_moment")
async def test_the_moment_ends_when_the_end_shows() -> None:
    # Given a terminal that shows nothing yet
    desk = Desk()
    sending = asyncio.create_task(desk.send())
    await desk.answered.wait()
    await asyncio.sleep(0.02)
    assert len(desk.changes) == 1

    # When it shows the deal
    desk.shows.set()

    # Then that is recorded at once
    assert (await sending).state is State.FILLED
    assert len(desk.changes) == 2


@pytest.mark.usefixtures("long_moment")
@pytest.mark.parametrize(
    ("then", "state", "reason"),
    [
        (lambda broker: broker.end(OrderState.CANCELED), State.CANCELLED, "broker_cancelled"),
        (lambda broker: broker.end(OrderState.REJECTED), State.REJECTED, "broker_rejection"),
        (
            lambda broker: (broker.fill(TENTH), broker.end(OrderState.CANCELED)),
            State.PARTIALLY_FILLED,
            None,
        ),
    ],
)
async def test_an_order_that_ends_otherwise_is_recorded_as_it_ended(
    then: Callable[[HiddenBroker], None], state: State, reason: str | None
) -> None:
    desk = Desk(then)
    desk.shows.set()

    ended = await desk.send()

    assert (ended.state, ended.reason, len(desk.changes)) == (state, reason, 2)


@pytest.mark.usefixtures("short_moment")
@pytest.mark.parametrize(
    ("then", "is_shown"),
    [
        (lambda _: None, True),
        (lambda broker: broker.fill(TENTH), True),
        (lambda broker: broker.fill(LOTS), False),
    ],
)
async def test_an_answer_is_kept_no_longer_than_a_moment(
    then: Callable[[HiddenBroker], None], *, is_shown: bool
) -> None:
    # Given an order that stands, one that is filled in part, or one whose terminal shows nothing of it
    desk = Desk(then)
    if is_shown:
        desk.shows.set()

    accepted = await desk.send()

    # Then the answer is recorded alone, and what was seen waits for whoever follows the order
    assert (accepted.state, accepted.order_ticket, accepted.deals) == (State.ACCEPTED, 700, ())
    assert [event.kind for event in desk.answer.events] == ["answered"]
    assert desk.answer.attempt is not None
    assert desk.answer.attempt.outcome == "accepted"
    assert bool(desk.watch.register(accepted.token).evidence) == is_shown


@pytest.mark.usefixtures("short_moment")
async def test_a_coroutine_that_is_ended_in_that_moment_has_recorded_the_answer() -> None:
    desk = Desk()
    sending = asyncio.create_task(_to_its_end(desk.send()))
    await desk.answered.wait()

    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending

    assert desk.answer.after.state is State.ACCEPTED


@pytest.mark.usefixtures("long_moment")
async def test_the_lag_of_the_broker_counts_from_the_answer() -> None:
    desk = Desk()
    sending = asyncio.create_task(desk.send())
    await desk.answered.wait()
    await asyncio.sleep(0.02)
    desk.shows.set()
    await sending

    assert 0.02 <= desk.watch.lag <= desk.monotonic() - desk.answered_at
