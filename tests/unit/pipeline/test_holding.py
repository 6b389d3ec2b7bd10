"""Halts that come and go while trades are on their way: nothing is sent under one, and every trade comes to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.stories import NOW, a_quote, a_tick, a_trade, an_execution, an_instrument
from worker.domain.errors import HaltedAtCommit
from worker.domain.execution import Execution
from worker.domain.halts import Halt, Halts
from worker.domain.limits import OrderLimits, Throttle
from worker.domain.market import BrokerOrder, OrderRequest, Quote, QuoteRequest, SendReport, SendStatus
from worker.ledger.halts import SeenHalts
from worker.pipeline import holding
from worker.pipeline.drive import Driver
from worker.pipeline.flow import Flow
from worker.pipeline.holding import Holding
from worker.pipeline.late import LateEvidence
from worker.pipeline.runway import Runways
from worker.pipeline.settle import Settler
from worker.pipeline.submit import Submitter
from worker.pipeline.turns import Turns
from worker.pipeline.validate import Validator
from worker.pipeline.watch import Sighting, Watch
from worker.ports import Change
from worker.settings import Settings

BROKER_REFUSES = SendReport(SendStatus.ANSWERED, retcode=10006)  # the quickest end of a trade that was sent
Event = tuple[str, str | None]


@dataclass
class Market:
    """A ledger that knows nothing but halts, a terminal whose broker refuses everything, and a clock that stands."""

    seen: SeenHalts = field(default_factory=SeenHalts)
    sent: list[OrderRequest] = field(default_factory=list)
    under_a_halt: list[OrderRequest] = field(default_factory=list)
    answers: list[SendReport] = field(default_factory=list)  # to the first sends; then the broker refuses all
    slow_quotes: list[asyncio.Event] = field(default_factory=list)  # what the first ones wait for
    writing_ahead: int = 0
    most_at_once: int = 0
    lease_left: float = 5.0
    passed: float = 0.0
    known_since: datetime | None = None

    @property
    def halts(self) -> Halts:
        return self.seen.now

    async def halts_changed(self, within: float | None = None) -> None:
        await self.seen.change(within)

    async def record(self, change: Change) -> Execution:
        self.writing_ahead += change.writes_ahead_a_send
        self.most_at_once = max(self.most_at_once, self.writing_ahead)
        await asyncio.sleep(0)
        self.writing_ahead -= change.writes_ahead_a_send
        halt = self.halts.of(change.after.trade.decision.symbol)
        if change.writes_ahead_a_send and halt is not None:
            raise HaltedAtCommit("main", halt)
        return change.after

    def sender_of(self, _symbol: str) -> str:
        return "main"

    async def quote(self, request: QuoteRequest) -> Quote:
        await asyncio.sleep(0)
        if self.slow_quotes:
            await self.slow_quotes.pop().wait()
        return a_quote(instrument=an_instrument(symbol=request.symbol), tick=replace(a_tick(), time=NOW))

    async def submit(self, order: OrderRequest) -> SendReport:
        if self.halts.of(order.symbol):
            self.under_a_halt.append(order)
        self.sent.append(order)
        await asyncio.sleep(0)
        return self.answers.pop() if self.answers else BROKER_REFUSES

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def take(self, event: Event) -> None:
        """Halt or resume, if that is what the story says."""
        kind, symbol = event
        if kind == "resume":
            self.seen.note(self.halts.lifted(symbol))
        elif kind in {"hold", "halt"}:
            self.seen.note(self.halts.put(Halt("a test", "ann", datetime.now(UTC), symbol, hold=kind == "hold")))


class House:
    """The way of a trade as the worker has it, from the checks to the send."""

    def __init__(self, backoff: float = 0, **limits: Any) -> None:
        self.market = market = Market()
        ledger: Any = market
        none: Any = None
        known = Settings(retry_backoff_seconds=0, _env_file=None, **limits)
        settler = Settler(ledger, market, "here")
        late = LateEvidence(ledger, settler)
        watch = Watch(none, none, 0.5, none, late.take)
        validator, runways = Validator(ledger, ledger, market, known), Runways(market.sender_of)
        throttle = Throttle(OrderLimits())
        submitter = Submitter(ledger, ledger, market, known, settler, runways, throttle, watch)
        self.holding = Holding(ledger, market, known.limits)
        self.flow = Flow(validator, submitter, none, none, settler, watch, late, runways, self.holding, backoff)
        self.turns = Turns()
        self.ended: dict[int, Execution] = {}

    def start(self, number: int, symbol: str, **changes: Any) -> asyncio.Task[None]:
        """Let a trade arrive; its number tells it from the others."""
        trade = a_trade()
        trade = replace(trade, decision=replace(trade.decision, symbol=symbol))
        token = (number + 1) << 6
        execution = an_execution(
            trade, execution_id=UUID(int=number), token=token, broker_symbol=symbol, received_at=NOW, **changes
        )
        place = self.turns.join(symbol)

        async def go() -> None:
            self.ended[number] = await self.flow.carry_out(execution, place)

        return asyncio.create_task(go())

    def sent(self, symbol: str) -> list[int]:
        """Return the trades of a symbol that were sent, in the order in which they were."""
        return [(order.magic >> 6) - 1 for order in self.market.sent if order.symbol == symbol]


async def come(about: Callable[[], bool]) -> None:
    """Let the loop turn until it is so."""
    for _ in range(1000):
        if about():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["trade", "trade", "trade", "hold", "halt", "resume", "pass", "pass"]),
        st.sampled_from([None, "EURUSD", "EURUSD", "USDJPY"]),
    ),
    max_size=40,
)


@given(EVENTS)
def test_whatever_is_halted_when_nothing_is_sent_under_a_halt_and_all_trades_end(events: list[Event]) -> None:
    arrived: dict[str, list[int]] = {"EURUSD": [], "USDJPY": []}

    async def story() -> House:
        house, trades = House(), []
        for number, (kind, symbol) in enumerate(events):
            if kind == "trade":
                arrived[symbol or "EURUSD"].append(number)
                trades.append(house.start(number, symbol or "EURUSD"))
            house.market.take((kind, symbol))
            await asyncio.sleep(0)
        for halt in list(house.market.halts):
            house.market.take(("resume", halt.symbol))
        async with asyncio.timeout(10):
            await asyncio.gather(*trades)
        return house

    house = asyncio.run(story())

    assert not house.market.under_a_halt
    assert not house.holding.held
    reasons = {number: one.reason for number, one in house.ended.items()}
    assert set(reasons.values()) <= {"broker_rejection", "trading_halted"}
    if not any(kind == "halt" for kind, _ in events):
        assert "trading_halted" not in reasons.values()
    for symbol, numbers in arrived.items():  # each once, in the order of arrival
        assert house.sent(symbol) == [number for number in numbers if reasons[number] == "broker_rejection"]


@pytest.mark.parametrize("on_their_way", range(6))
async def test_held_trades_take_no_place_that_another_symbol_needs(on_their_way: int) -> None:
    # Given more trades of a symbol than the terminal is ever given at once, and a hold that comes sooner or later
    house = House()
    held = [house.start(number, "EURUSD") for number in range(200)]
    for _ in range(on_their_way):
        await asyncio.sleep(0)
    house.market.take(("hold", "EURUSD"))
    sent = len(house.market.sent)

    # When a trade of another symbol comes, then it is sent at once
    async with asyncio.timeout(10):
        await house.start(1000, "USDJPY")
    assert house.sent("USDJPY") == [1000]
    assert len(house.sent("EURUSD")) == sent

    # And when the hold is lifted, they are sent in their order
    house.market.take(("resume", "EURUSD"))
    async with asyncio.timeout(10):
        await asyncio.gather(*held)
    assert house.sent("EURUSD") == list(range(200))


async def test_a_trade_that_tries_again_and_is_held_keeps_nobody_on_the_runway() -> None:
    # Given a trade whose first attempt was requoted: all behind it wait until its back-off is over
    house = House(backoff=0.1)
    house.market.answers = [SendReport(SendStatus.ANSWERED, retcode=10004)]
    trades = [house.start(number, "EURUSD") for number in range(200)]
    await come(lambda: bool(house.market.sent))

    # When it is held, and lets them be held as well
    house.market.take(("hold", "EURUSD"))
    async with asyncio.timeout(5):
        await house.start(1000, "USDJPY")
    sent = len(house.sent("EURUSD"))

    # Then the runway was free for another symbol, and all go on afterwards
    house.market.take(("resume", "EURUSD"))
    async with asyncio.timeout(10):
        await asyncio.gather(*trades)
    assert sent == 1
    assert house.sent("EURUSD") == [0, *range(200)]


async def test_what_was_written_ahead_behind_a_trade_that_is_held_is_held_too() -> None:
    # Given a trade that was written ahead, and waits for the one before it, whose price is slow to come
    house = House()
    house.market.lease_left = 0.05  # how long it may wait
    quoted = asyncio.Event()
    house.market.slow_quotes = [quoted]
    trades = [house.start(number, "EURUSD") for number in range(2)]
    await come(lambda: bool(house.market.most_at_once) and not house.market.writing_ahead)

    # When the first one is held, then the second is not left halfway
    house.market.take(("hold", "EURUSD"))
    quoted.set()
    await come(lambda: house.holding.held == {"EURUSD": 2})

    house.market.lease_left = 5
    house.market.take(("resume", "EURUSD"))
    await asyncio.gather(*trades)
    assert house.sent("EURUSD") == [0, 1]


async def test_what_was_held_is_written_ahead_together_when_it_goes_on() -> None:
    house = House()
    house.market.take(("hold", "EURUSD"))
    held = [house.start(number, "EURUSD") for number in range(10)]
    await asyncio.sleep(0)

    house.market.take(("resume", "EURUSD"))
    await asyncio.gather(*held)

    assert house.market.most_at_once == 10


async def test_what_is_held_can_be_counted() -> None:
    house = House()
    house.market.take(("hold", "EURUSD"))
    held = [house.start(number, "EURUSD") for number in range(3)]
    await asyncio.sleep(0)

    assert house.holding.held == {"EURUSD": 3}
    assert house.holding.holds(UUID(int=2))

    house.market.take(("halt", "EURUSD"))
    await asyncio.gather(*held)
    assert not house.holding.held
    assert {one.reason for one in house.ended.values()} == {"trading_halted"}


@pytest.mark.parametrize(
    ("limit", "changes"), [(0, {}), (60, {"stale_allowed": True})], ids=["no age limit", "allowed stale"]
)
async def test_what_cannot_grow_too_old_is_held_until_it_is_lifted(limit: float, changes: dict[str, Any]) -> None:
    house = House(max_trade_age_seconds=limit)
    house.market.take(("hold", None))
    house.market.passed = 10_000

    held = house.start(1, "EURUSD", **changes)
    await asyncio.sleep(0)
    assert house.holding.held == {"EURUSD": 1}

    house.market.take(("resume", None))
    await held
    assert house.sent("EURUSD") == [1]


async def test_a_held_trade_that_grows_too_old_ends_and_says_what_kept_it() -> None:
    house = House()
    house.market.take(("hold", "EURUSD"))
    held = house.start(1, "EURUSD")
    await asyncio.sleep(0)

    house.market.passed = 60
    house.market.take(("hold", None))  # whatever changes, it looks at its age
    await held

    assert (house.ended[1].state, house.ended[1].reason) == ("expired", "approval_expired")
    assert house.ended[1].detail == (
        "the approval is 61.0 s old, the limit is 60 s; it was kept waiting: halted by ann: a test"
    )


async def test_a_held_trade_that_the_broker_shows_is_held_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "_GLANCE_SECONDS", 0.001)
    # Given a trade that waits for another attempt, as the one before it was proved absent
    house, sighting = House(max_trade_age_seconds=0), Sighting()
    house.market.take(("hold", None))
    over = asyncio.create_task(house.holding.over(an_execution(attempts=1, sends=1), sighting))
    await come(lambda: bool(house.holding.held))

    # When the broker shows an order of it after all, then nobody waits for the end of the halt to tell of it
    sighting.evidence.add_order(BrokerOrder(7, 1, "EURUSD", 1, Decimal(1), Decimal(1), 0, "", historical=False))
    async with asyncio.timeout(10):
        await over
    assert not house.holding.held


async def test_a_worker_that_ends_does_not_wait_for_held_trades() -> None:
    house = House()
    none: Any = None
    driver = Driver(house.flow, none, house.holding, lambda: None)
    house.market.take(("hold", None))
    driver.start(an_execution())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert house.holding.held == {"EURUSD": 1}

    async with asyncio.timeout(10):
        await driver.stop(within=60, sends_within=60)

    assert driver.in_flight == 0
    driver.start(an_execution())  # what comes now is for the next worker
    assert driver.in_flight == 0
