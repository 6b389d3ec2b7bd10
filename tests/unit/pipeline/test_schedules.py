"""
Whatever takes how long, and whatever comes again: trades of a symbol are sent once each, in the order of their arrival.

The door, the driver, the way of a trade, its turns and runways are the real ones. The ledger, the terminals and the
time are played: an hour passes in a moment, and a loop in which nothing will ever happen again is an error.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.stories import NOW, a_quote, a_tick, a_trade, an_instrument
from worker.domain.errors import HaltedAtCommit, StaleRevision, TerminalUnavailable
from worker.domain.execution import Execution, State
from worker.domain.halts import Halt, Halts
from worker.domain.limits import OrderLimits, Throttle
from worker.domain.market import (
    BrokerDeal,
    NotSentReason,
    OrderRequest,
    Quote,
    QuoteRequest,
    SendReport,
    SendStatus,
)
from worker.domain.message import IncomingMessage
from worker.domain.token import trade_of
from worker.domain.trade import IdentityKind, Trade, TradeIdentity
from worker.pipeline.door import Door
from worker.pipeline.drive import Driver
from worker.pipeline.flow import Flow
from worker.pipeline.holding import Holding
from worker.pipeline.monitor import Monitor
from worker.pipeline.runway import Runways
from worker.pipeline.settle import Settler
from worker.pipeline.submit import Submitter
from worker.pipeline.validate import Validator
from worker.pipeline.watch import Watch
from worker.ports import Admission, Admittance, Arrival, Change, WriteAhead
from worker.settings import Settings

SENDERS = {"EURUSD": "first", "USDJPY": "first", "GBPUSD": "second"}
LONG_ENOUGH = 3600.0  # seconds, for all to come to their ends when there is calm
ZERO = Decimal(0)


class _NoWait(selectors.SelectSelector):
    """Lets time pass instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("nothing will ever happen again")
        self.now += max(timeout, 0)
        return super().select(0)


class PlayedTime(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to whatever is due next."""

    def __init__(self) -> None:
        self._no_wait = _NoWait()
        super().__init__(self._no_wait)

    def time(self) -> float:
        return self._no_wait.now


@contextmanager
def played_time() -> Iterator[PlayedTime]:
    loop = PlayedTime()
    try:
        yield loop
    finally:
        loop.close()


@dataclass(frozen=True)
class Weather:
    """What may take how many seconds, and how often (0 to 1) something goes wrong."""

    commits: tuple[float, ...]
    quotes: tuple[float, ...]
    sends: tuple[float, ...]
    shows: tuple[float, ...]
    away: float
    requoted: float


@dataclass(frozen=True)
class Arriving:
    """One message: a new trade of a symbol, or the latest but so many again; then a pause, and perhaps a halt."""

    symbol: str
    again: int | None
    pause: float
    halt: str | None


WEATHER = st.builds(
    Weather,
    commits=st.sampled_from([(0.002, 0.005), (0.005, 0.2), (0.01, 1.0, 2.5)]),
    quotes=st.sampled_from([(0.002,), (0.002, 0.05, 0.3), (0.01, 0.4, 0.7)]),
    sends=st.sampled_from([(0.002,), (0.002, 0.05), (0.05, 0.4), (0.1, 1.5)]),
    shows=st.sampled_from([(0.001, 0.05), (0.05, 0.2, 1.0)]),
    away=st.sampled_from([0.0, 0.1, 0.4]),
    requoted=st.sampled_from([0.0, 0.1, 0.4]),
)
ARRIVALS = st.lists(
    st.builds(
        Arriving,
        symbol=st.sampled_from(["EURUSD"] * 4 + ["USDJPY", "GBPUSD"]),
        again=st.sampled_from([None, None, None, 1, 2, 3]),
        pause=st.sampled_from([0, 0, 0, 0.001, 0.01, 0.3, 2]),
        halt=st.sampled_from([None] * 12 + ["hold", "hold a symbol", "lift", "lift"]),
    ),
    min_size=12,
    max_size=40,
)


class World:
    """A ledger that commits one batch after the other, and terminals that each send one order at a time."""

    lease_left = 5.0
    known_since: datetime | None = None

    def __init__(self, weather: Weather, chance: random.Random) -> None:
        self.weather, self.chance = weather, chance
        self.loop = asyncio.get_running_loop()
        self.executions: dict[UUID, Execution] = {}
        self.trades: dict[TradeIdentity, UUID] = {}
        self.sent: defaultdict[str, list[int]] = defaultdict(list)  # tokens of trades, by symbol
        self.executed: Counter[int] = Counter()
        self.halts, self._changed = Halts(), asyncio.Event()
        self._jobs: asyncio.Queue[tuple[Callable[[], Any], asyncio.Future[Any]]] = asyncio.Queue()
        self._at_work: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.watch: Watch

    async def take(self, seconds: tuple[float, ...]) -> None:
        await asyncio.sleep(self.chance.choice(seconds))

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.loop.time())

    def monotonic(self) -> float:
        return self.loop.time()

    # The ledger.

    def halt(self, halts: Halts) -> None:
        self.halts = halts
        self._changed.set()
        self._changed = asyncio.Event()

    async def halts_changed(self, within: float | None = None) -> None:
        await asyncio.wait({asyncio.ensure_future(self._changed.wait())}, timeout=within)

    async def commit(self) -> None:
        while True:
            batch = [await self._jobs.get()]
            while not self._jobs.empty():
                batch.append(self._jobs.get_nowait())
            await self.take(self.weather.commits)
            answers = [_outcome(decide) for decide, _ in batch]
            await self.take((0, *self.weather.commits))
            for (_, answer), outcome in zip(batch, answers, strict=True):
                if isinstance(outcome, Exception):
                    answer.set_exception(outcome)
                else:
                    answer.set_result(outcome)

    async def _committed(self, decide: Callable[[], Any]) -> Any:
        answer = self.loop.create_future()
        self._jobs.put_nowait((decide, answer))
        return await answer

    async def admit(self, arrival: Arrival, ahead: WriteAhead | None) -> Admission:
        def decide() -> Admission:
            known = self.trades.get(arrival.trade.identity)
            if known is not None:
                return Admission(Admittance.REPEAT, self.executions[known])
            token = (len(self.executions) + 1) << 6
            mine = Execution(arrival.execution_id, "main", arrival.trade, arrival.message, token, arrival.received_at)
            if ahead is not None and self.halts.of(arrival.trade.decision.symbol) is None:
                mine = ahead.change(token).after
            self.trades[arrival.trade.identity] = mine.execution_id
            self.executions[mine.execution_id] = mine
            return Admission(Admittance.NEW, mine)

        admission: Admission = await self._committed(decide)
        return admission

    async def record(self, change: Change) -> Execution:
        def decide() -> Execution:
            before = self.executions[change.after.execution_id]
            if change.after.revision != before.revision + 1:
                raise StaleRevision(str(before.execution_id))
            halt = self.halts.of(before.trade.decision.symbol)
            if change.writes_ahead_a_send and halt is not None:
                raise HaltedAtCommit("main", halt)
            self.executions[before.execution_id] = change.after
            return change.after

        after: Execution = await self._committed(decide)
        return after

    async def open_executions(self, besides: Collection[UUID]) -> list[Execution]:
        besides = set(besides)
        found = [one for one in self.executions.values() if not one.is_settled and one.execution_id not in besides]
        await self.take((0, 0.01, 0.3))
        return found

    # The terminals.

    def sender_of(self, symbol: str) -> str:
        return SENDERS[symbol]

    async def quote(self, request: QuoteRequest) -> Quote:
        await self.take(self.weather.quotes)
        if self.chance.random() < self.weather.away:
            raise TerminalUnavailable("away")
        instrument, tick = an_instrument(symbol=request.symbol), replace(a_tick(), time=self.now())
        return a_quote(instrument=instrument, tick=tick, taken_at=self.now())

    async def submit(self, order: OrderRequest) -> SendReport:
        async with self._at_work[self.sender_of(order.symbol)]:
            if self.monotonic() > order.send_before_monotonic:
                return SendReport(SendStatus.NOT_SENT, NotSentReason.DEADLINE)
            self.sent[order.symbol].append(trade_of(order.magic))
            await self.take(self.weather.sends)
            if self.chance.random() < self.weather.requoted:
                return SendReport(SendStatus.ANSWERED, retcode=10004)
            self.executed[trade_of(order.magic)] += 1
            ticket = sum(self.executed.values())
            self.loop.call_later(self.chance.choice(self.weather.shows), self._show, order, ticket)
            return SendReport(SendStatus.ANSWERED, retcode=10009, order_ticket=ticket)

    def _show(self, order: OrderRequest, ticket: int) -> None:
        sighting = self.watch.register(trade_of(order.magic))
        price, at = Decimal("1.1"), self.now()
        deal = BrokerDeal(ticket, ticket, order.magic, 1, order.symbol, order.lots, price, ZERO, ZERO, at, "")
        sighting.evidence.add_deal(deal)
        sighting.tell()


def _outcome(decide: Callable[[], Any]) -> Any:
    try:
        return decide()
    except (StaleRevision, HaltedAtCommit) as error:
        return error


class NoDoubt:
    """A reconciler that nobody may need: no trade of these stories is left alone, or in doubt."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a trade was to be {name}")


class House:
    """The way in, and of each trade, in a world."""

    def __init__(self, world: World) -> None:
        some: Any = world
        doubt: Any = NoDoubt()
        known = Settings(max_trade_age_seconds=0, max_retries=20, _env_file=None)
        settler, holding = Settler(some, some, "here"), Holding(some, some, known.limits)
        world.watch = watch = Watch(some, some, 0.5, some, some)
        validator, self.runways = Validator(some, some, some, known), Runways(world.sender_of)
        self.throttle = Throttle(OrderLimits(per_minute=1_000_000))
        submitter = Submitter(some, some, some, known, settler, self.runways, self.throttle, watch)
        monitor = Monitor(some, some, some, known, settler, watch)
        late: Any = _NothingLate()
        flow = Flow(validator, submitter, monitor, doubt, settler, watch, late, self.runways, holding, 0.5)
        self.driver_changed = asyncio.Event()
        self.driver = Driver(flow, some, holding, self.driver_changed.set)
        self.door = Door(some, self.driver, validator, submitter, self.runways)


class _NothingLate:
    def kept(self, _token: int) -> None:
        return None


def a_message(trade: Trade, number: int, at: datetime) -> Arrival:
    return Arrival(UUID(int=number), "main", IncomingMessage(b"{}", routing_key="approved.main"), trade, at)


def a_trade_of(symbol: str, number: int) -> Trade:
    trade, name = a_trade(), f"A-{number}"
    identity, decision = TradeIdentity(IdentityKind.ORDER_ID, name), replace(trade.decision, symbol=symbol)
    return replace(trade, identity=identity, rpm_order_id=name, decision=decision)


def a_change_of_halts(halts: Halts, change: str | None, symbol: str) -> Halts:
    match change:
        case "hold":
            return halts.put(Halt("a test", "ann", NOW, hold=True))
        case "hold a symbol":
            return halts.put(Halt("a test", "ann", NOW, symbol=symbol, hold=True))
    return Halts()


async def all_at_their_ends(weather: Weather, arrivals: list[Arriving], seed: int) -> tuple[World, list[Trade], House]:
    """Let all of it happen, and then be calm."""
    world = World(weather, random.Random(seed))  # noqa: S311 - it is to be repeatable
    house, trades = House(world), list[Trade]()
    parts: list[Coroutine[Any, Any, None]] = [world.commit(), house.driver.sweep()]
    running = [asyncio.create_task(part) for part in parts]
    handled = []
    for number, one in enumerate(arrivals, 1):
        is_new = one.again is None or len(trades) < one.again
        if is_new:
            trades.append(a_trade_of(one.symbol, number))
        trade = trades[-1] if is_new or one.again is None else trades[-one.again]
        handled.append(asyncio.create_task(house.door.admit(a_message(trade, number, world.now()))))
        await asyncio.sleep(one.pause)
        if one.halt is not None:
            world.halt(a_change_of_halts(world.halts, one.halt, one.symbol))
    world.halt(Halts())
    world.weather = replace(weather, away=0.0, requoted=min(weather.requoted, 0.1))
    await asyncio.gather(*handled)
    async with asyncio.timeout(LONG_ENOUGH):
        while house.driver.in_flight:
            house.driver_changed.clear()
            await house.driver_changed.wait()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    return world, trades, house


@given(WEATHER, ARRIVALS, st.integers(0, 1000))
def test_every_trade_is_sent_once_and_in_its_turn(weather: Weather, arrivals: list[Arriving], seed: int) -> None:
    with played_time() as loop:
        world, trades, house = loop.run_until_complete(all_at_their_ends(weather, arrivals, seed))

    assert world.executed == {one.token: 1 for one in world.executions.values()}
    assert {one.state for one in world.executions.values()} == {State.FILLED}
    turns = {world.executions[world.trades[trade.identity]].token: turn for turn, trade in enumerate(trades)}
    for sent in world.sent.values():
        assert sorted(sent, key=turns.__getitem__) == sent
    assert not any(runway._on_it for runway in house.runways._runways.values())
    assert not house.driver._turns._queues
