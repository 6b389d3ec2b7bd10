"""Arrivals at the door: what can be sent at once is written ahead with its admission, all else is only written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.unit.domain.stories import NOW, a_quote, a_tick, a_trade, an_execution, an_instrument
from worker.domain.checks import Measures
from worker.domain.errors import LedgerUnavailable, TerminalUnavailable
from worker.domain.execution import Execution, State
from worker.domain.halts import Halt, Halts
from worker.domain.limits import OrderLimits, Throttle
from worker.domain.market import Quote, QuoteRequest
from worker.domain.message import IncomingMessage
from worker.pipeline import door as door_module
from worker.pipeline.door import Door
from worker.pipeline.drive import Driver
from worker.pipeline.runway import Runways
from worker.pipeline.submit import Ready, Submitter
from worker.pipeline.turns import Place, Turns
from worker.pipeline.validate import Validator
from worker.ports import Admission, Admittance, Arrival, WriteAhead
from worker.settings import Settings

TOKEN = 7 << 6
MEASURES = Measures(an_instrument(), a_tick(), a_tick().ask, Decimal(1), Decimal("0.0001"), Decimal(10))


@dataclass
class Desk:
    """A ledger and a terminal that do as the story says, and a clock that stands."""

    finds: Admittance = Admittance.NEW
    halts: Halts = field(default_factory=Halts)
    is_halted_at_commit: bool = False
    fails: bool = False
    terminal_is_away: bool = False
    quote_fails: bool = False
    quotes_wait_for: asyncio.Event | None = None
    commits_wait_for: asyncio.Event | None = None
    asked: int = 0
    admitted: list[bool] = field(default_factory=list)  # each time whether an attempt came with it
    open: list[Execution] = field(default_factory=list)
    known_since: datetime | None = None

    async def admit(self, arrival: Arrival, ahead: WriteAhead | None) -> Admission:
        self.admitted.append(ahead is not None)
        await asyncio.sleep(0)
        if self.commits_wait_for is not None:
            await self.commits_wait_for.wait()
        if self.fails:
            raise LedgerUnavailable("closed")
        new = an_execution(arrival.trade, execution_id=arrival.execution_id, token=TOKEN)
        if self.finds is Admittance.NEW and ahead is not None and not self.is_halted_at_commit:
            new = ahead.change(TOKEN).after
        self.open.append(new)
        return Admission(self.finds, new)

    async def open_executions(self, besides: Any) -> list[Execution]:
        return [execution for execution in self.open if execution.execution_id not in besides]

    def sender_of(self, _symbol: str) -> str:
        return "main"

    async def quote(self, request: QuoteRequest) -> Quote:
        self.asked += 1
        if self.terminal_is_away:
            raise TerminalUnavailable("logged out")
        if self.quote_fails:
            raise ValueError("a defect")
        if self.quotes_wait_for is not None:
            await self.quotes_wait_for.wait()
        return a_quote(instrument=an_instrument(symbol=request.symbol), tick=replace(a_tick(), time=NOW))

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


class Ways:
    """A flow that takes down who goes which way, and keeps each on it until it is let go."""

    def __init__(self) -> None:
        self.boarded: list[UUID] = []
        self.long_way: list[UUID] = []
        self.go = asyncio.Event()

    async def carry_out(self, execution: Execution, _place: Place, ready: Ready | None) -> Execution:
        (self.long_way if ready is None else self.boarded).append(execution.execution_id)
        await self.go.wait()
        return execution


class House:
    """A door, and what is behind it; at most two orders a minute."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.ways = desk, Ways()
        some: Any = desk
        none: Any = None
        ways: Any = self.ways
        known = Settings(max_trade_age_seconds=60, _env_file=None)
        self.throttle, self.runways = Throttle(OrderLimits(per_minute=2)), Runways(desk.sender_of)
        self.submitter = Submitter(some, some, some, known, none, self.runways, self.throttle, none)
        self.driver = Driver(ways, some, none, lambda: None)
        self.door = Door(some, self.driver, Validator(some, some, some, known), self.submitter, self.runways)

    async def arrive(self, number: int = 1, *, same: bool = True, **properties: Any) -> Admission:
        trade = a_trade() if same else a_trade(rpm_order_id=f"A-{number}")
        message = IncomingMessage(b"{}", routing_key="approved.main.EURUSD", **properties)
        admission = await self.door.admit(Arrival(UUID(int=number), "main", message, trade, NOW))
        await asyncio.sleep(0)  # whoever is driven begins
        return admission

    async def has_room_for_another(self) -> bool:
        """Tell whether nothing is left of the trades before: no slot, no place in the queue, no count."""
        is_empty = not self.runways._runways["main"]._on_it
        await self.arrive(99)
        return is_empty and UUID(int=99) in self.ways.boarded


async def test_a_trade_that_can_be_sent_at_once_is_written_ahead_with_its_admission() -> None:
    house = House(Desk())

    admission = await house.arrive(1)

    assert admission.execution.state is State.SUBMITTING
    assert (admission.execution.attempts, admission.execution.token) == (1, TOKEN)
    assert house.desk.admitted == [True]
    assert house.ways.boarded == [UUID(int=1)]


@pytest.mark.parametrize(
    "desk",
    [
        lambda: Desk(terminal_is_away=True),
        lambda: Desk(halts=Halts().put(Halt("a test", "ann", NOW))),
        lambda: Desk(quotes_wait_for=asyncio.Event()),
        lambda: Desk(is_halted_at_commit=True),
    ],
    ids=["no terminal", "halted", "slow terminal", "halted at the commit"],
)
async def test_a_trade_that_would_have_to_wait_is_written_down_and_goes_the_long_way(
    desk: Callable[[], Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "AT_ONCE_SECONDS", 0.02)
    house = House(desk())

    admission = await house.arrive(1)

    assert admission.execution.state is State.RECEIVED
    assert house.ways.long_way == [UUID(int=1)]


async def test_an_operators_permission_is_looked_up_before_anything_is_made_ready() -> None:
    house = House(Desk())

    await house.arrive(1, headers={"replay-id": str(UUID(int=5))})

    assert house.desk.admitted == [False]
    assert house.desk.asked == 0


async def test_no_trade_is_written_ahead_behind_one_of_its_symbol_that_is_not_on_its_way() -> None:
    # Given a trade that waits for its terminal, and one behind it when the terminal is back
    house = House(Desk(terminal_is_away=True))
    await house.arrive(1)
    house.desk.terminal_is_away = False

    await house.arrive(2)

    assert house.ways.long_way == [UUID(int=1), UUID(int=2)]


async def test_a_trade_follows_another_of_its_symbol_that_is_about_to_be_sent() -> None:
    house = House(Desk())
    await house.arrive(1)

    await house.arrive(2)

    assert house.ways.boarded == [UUID(int=1), UUID(int=2)]


@pytest.mark.parametrize("found", [Admittance.REPEAT, Admittance.REOPENED, Admittance.CONFLICT])
async def test_what_was_made_ready_for_a_known_trade_leaves_no_trace(found: Admittance) -> None:
    house = House(Desk(finds=found))
    for number in range(3):  # more than the limit admits
        await house.arrive(number)
    house.ways.go.set()
    await asyncio.sleep(0.01)  # those that were driven on have left their symbol's queue

    house.desk.finds = Admittance.NEW
    assert await house.has_room_for_another()


async def test_a_conflict_drives_nothing() -> None:
    house = House(Desk(finds=Admittance.CONFLICT))

    await house.arrive(1)

    assert house.driver.in_flight == 0


async def test_an_arrival_that_the_ledger_does_not_take_leaves_no_trace() -> None:
    house = House(Desk(fails=True))
    for number in range(3):
        with pytest.raises(LedgerUnavailable):
            await house.arrive(number)

    house.desk.fails = False
    assert await house.has_room_for_another()


async def test_a_limit_that_is_reached_is_told_on_the_long_way() -> None:
    house = House(Desk())
    for number in range(3):
        await house.arrive(number)

    assert (len(house.ways.boarded), house.ways.long_way) == (2, [UUID(int=2)])


async def test_a_sweep_between_commit_and_start_leaves_the_trade_to_the_door() -> None:
    # Given a sweep that reads the ledger right after the commit, before the door has heard of it
    house = House(Desk())
    admit, swept = house.desk.admit, list[int]()

    async def and_sweep(arrival: Arrival, ahead: WriteAhead | None) -> Admission:
        admission = await admit(arrival, ahead)
        swept.append(await house.driver.adopt())
        return admission

    house.desk.admit = and_sweep  # type: ignore[method-assign]
    await house.arrive(1)

    assert swept == [0]
    assert house.ways.boarded == [UUID(int=1)]


async def test_a_trade_that_comes_again_does_not_get_past_itself() -> None:
    # Given a trade that waits for its quote when all trades are halted, so that none after it needs one
    house = House(Desk(quotes_wait_for=asyncio.Event()))
    first = asyncio.create_task(house.arrive(1))
    await asyncio.sleep(0)
    house.desk.halts = Halts().put(Halt("a test", "ann", NOW, hold=True))

    # When its message is delivered again
    again = asyncio.create_task(house.arrive(2))
    for _ in range(5):
        await asyncio.sleep(0)

    # Then the ledger hears of it after the first
    assert house.desk.admitted == []
    assert house.desk.quotes_wait_for is not None
    house.desk.quotes_wait_for.set()
    await asyncio.gather(first, again)
    assert [execution.execution_id for execution in house.desk.open] == [UUID(int=1), UUID(int=2)]


async def test_a_defect_of_a_quote_is_no_reason_to_refuse_a_trade() -> None:
    house = House(Desk(quote_fails=True))

    admission = await house.arrive(1)

    assert admission.execution.state is State.RECEIVED
    assert house.ways.long_way == [UUID(int=1)]
    house.desk.quote_fails = False
    house.ways.go.set()
    assert not house.runways._runways["main"]._on_it


async def test_what_is_counted_at_the_door_refuses_nobody_before_it_is_known_to_be_new() -> None:
    # Given as many trades at the door as a minute may have orders, which turn out to be known
    commit = asyncio.Event()
    house = House(Desk(finds=Admittance.REPEAT, commits_wait_for=commit))
    at_the_door = [asyncio.create_task(house.arrive(number, same=False)) for number in range(2)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert house.desk.admitted == [True, True]

    # When another trade is about to be written ahead
    validated = an_execution()
    submitting = asyncio.create_task(house.submitter.submit(validated, MEASURES, Turns().join("EURUSD")))
    await asyncio.sleep(0)
    commit.set()
    await asyncio.gather(*at_the_door)

    # Then it is not refused, but validated anew
    assert await submitting is validated
    assert isinstance(house.submitter.ready(validated, MEASURES), Ready)
