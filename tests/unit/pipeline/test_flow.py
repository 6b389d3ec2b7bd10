"""What has been seen of a trade is never thrown away, and holds up another send, however the trade's stages go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.domain.stories import NOW, a_tick, an_execution, an_instrument
from tests.unit.pipeline.hidden_broker import LOTS, HiddenBroker
from worker.domain.checks import Limits, Measures, Refusal
from worker.domain.errors import StaleRevision
from worker.domain.evidence import Evidence
from worker.domain.execution import Execution, State
from worker.domain.halts import Halts
from worker.domain.market import BrokerOrder, OrderState
from worker.domain.token import attempt_token
from worker.pipeline.flow import Flow
from worker.pipeline.holding import Holding
from worker.pipeline.late import LateEvidence
from worker.pipeline.runway import Runways
from worker.pipeline.turns import Place, Turns
from worker.pipeline.validate import Validated
from worker.pipeline.watch import Watch

TOKEN = an_execution().token


@dataclass
class Stages:
    """Every stage after the check: writes down what it was asked for, and ends the trade as the story says."""

    watch: Watch
    ends: Callable[[Execution], Execution]
    verdict: Measures | Refusal
    called: list[str] = field(default_factory=list)
    is_late_once: bool = False  # the first send waits its deadline out

    async def validate(self, execution: Execution) -> Validated:
        await asyncio.sleep(0)
        return Validated(execution, self.verdict)

    async def submit(self, execution: Execution, _measures: object, place: Place) -> Execution:
        if self.is_late_once:
            self.is_late_once = False
            place.slow_down(is_late=True)
            return execution.advance(State.SUBMITTING, attempts=1).advance(State.RECEIVED)
        return self._ended("submit", execution)

    async def refused(self, execution: Execution, _why: Refusal) -> Execution:
        return self._ended("refused", execution)

    async def measured(self, execution: Execution) -> Execution:
        return execution

    async def doubted(self, execution: Execution, _seen: Evidence) -> Execution:
        self.called.append("doubted")
        return execution.advance(State.UNKNOWN)

    async def seek(self, execution: Execution) -> Execution:
        return self._ended("seek", execution)

    async def follow(self, execution: Execution) -> Execution:
        return self._ended("follow", execution)

    def _ended(self, stage: str, execution: Execution) -> Execution:
        self.called.append(stage)
        return self.ends(execution)


class Books:
    """A ledger that has none of the broker's deals, and no halt."""

    halts = Halts()

    def __init__(self, execution: Execution) -> None:
        self.execution = execution

    async def report_orphans(self, _seen: object) -> list[object]:
        return []

    async def unrecorded(self, tickets: list[int]) -> frozenset[int]:
        return frozenset(tickets)

    async def find_by_token(self, _token: int) -> Execution:
        return self.execution


class Corrections:
    """Takes down which deals came late."""

    def __init__(self) -> None:
        self.late: list[int] = []

    async def corrected(self, execution: Execution, deals: Any, _attempt: object) -> Execution:
        self.late += [deal.deal_id for deal in deals]
        return execution


class House:
    """A flow with scripted stages around a real watch and real late evidence."""

    def __init__(self, execution: Execution, ends: Callable[[Execution], Execution], **more: Any) -> None:
        none: Any = None
        self.execution, self.corrections = execution, Corrections()
        self.books = Books(more.get("in_the_ledger", execution))
        parts: tuple[Any, Any] = (self.books, self.corrections)
        self.late = LateEvidence(*parts)
        self.watch = Watch(none, none, 0.5, none, self.late.take)
        touch = a_tick().ask
        measures = Measures(an_instrument(), a_tick(), touch, LOTS, touch, touch)
        self.stages = Stages(self.watch, ends, more.get("verdict", measures))
        one: Any = self.stages
        holding = Holding(parts[0], none, Limits(Decimal(10)))
        pause = more.get("pause", 0)
        self.runways = Runways(str)
        self.flow = Flow(one, one, one, one, one, self.watch, self.late, self.runways, holding, pause)

    async def carry_out(self) -> Execution:
        return await self.flow.carry_out(self.execution, Turns().join("EURUSD"))


def settled(execution: Execution) -> Execution:
    return execution.advance(State.REJECTED) if execution.state is State.RECEIVED else execution.advance(State.FILLED)


def quicker(_execution: Execution) -> Execution:
    raise StaleRevision("somebody was quicker")


def shown(broker: HiddenBroker) -> Evidence:
    evidence = Evidence()
    for sight in broker.sights:
        if isinstance(sight, BrokerOrder):
            evidence.add_order(sight)
        else:
            evidence.add_deal(sight)
    return evidence


def a_broker_with(attempt: int, end: Callable[[HiddenBroker], None]) -> HiddenBroker:
    broker = HiddenBroker()
    broker.take(attempt_token(TOKEN, attempt))
    end(broker)
    return broker


def tried_once(**changes: Any) -> Execution:
    return an_execution(attempts=1, sends=1, **changes)


@pytest.mark.parametrize("verdict", ["sound", "refused"])
async def test_no_other_attempt_is_made_when_the_broker_shows_the_one_that_was_proved_absent(verdict: str) -> None:
    refusal = {"verdict": Refusal("rejected", "market_closed", "Sunday")} if verdict == "refused" else {}
    house = House(tried_once(), settled, **refusal)
    broker = a_broker_with(1, lambda broker: broker.fill(LOTS))
    house.watch.register(TOKEN).evidence.add(shown(broker))

    ended = await house.carry_out()

    assert house.stages.called == ["doubted", "seek"]
    assert ended.state is State.FILLED


async def test_nothing_is_sent_or_refused_when_the_broker_shows_an_attempt_that_a_restored_ledger_has_lost() -> None:
    house = House(an_execution(), settled, verdict=Refusal("rejected", "trading_halted", "a restored ledger"))
    house.watch.register(TOKEN).evidence.add(shown(a_broker_with(1, lambda broker: broker.fill(LOTS))))

    ended = await house.carry_out()

    assert house.stages.called == ["doubted", "seek"]
    assert ended.state is State.FILLED


async def test_what_was_written_ahead_with_its_trade_is_not_sent_either_when_the_broker_shows_it() -> None:
    house = House(an_execution(state=State.SUBMITTING, attempts=1), settled)
    house.watch.register(TOKEN).evidence.add(shown(a_broker_with(1, lambda broker: broker.fill(LOTS))))
    ready: Any = object()

    ended = await house.flow.carry_out(house.execution, Turns().join("EURUSD"), ready)

    assert house.stages.called == ["doubted", "seek"]
    assert ended.state is State.FILLED


async def test_the_order_of_a_refused_attempt_does_not_hold_up_the_next() -> None:
    house = House(tried_once(), settled)
    broker = a_broker_with(1, lambda broker: broker.end(OrderState.REJECTED))
    house.watch.register(TOKEN).evidence.add(shown(broker))

    await house.carry_out()

    assert house.stages.called == ["submit"]


async def test_a_coroutine_that_came_too_late_leaves_nobody_who_swallows_what_is_seen() -> None:
    """It was started from an old view of a trade that has ended: a deal after that is late, not its own."""
    house = House(tried_once(state=State.ACCEPTED), quicker, in_the_ledger=tried_once(state=State.EXPIRED, version=1))
    house.watch.register(TOKEN).evidence.add(shown(a_broker_with(1, lambda broker: broker.fill(LOTS))))

    with pytest.raises(StaleRevision):
        await house.carry_out()

    assert house.corrections.late == [9001]
    assert not house.watch.register(TOKEN).evidence


async def test_what_is_seen_of_an_open_trade_that_nobody_drives_is_kept_for_whoever_adopts_it() -> None:
    house = House(tried_once(state=State.UNKNOWN, received_at=NOW), settled)
    seen = shown(a_broker_with(1, lambda broker: broker.fill(LOTS)))
    await house.late.take({TOKEN: seen})
    told: list[int] = []

    def end(execution: Execution) -> Execution:
        told.extend(house.watch.register(TOKEN).evidence.deals)
        return settled(execution)

    house.stages.ends = end
    await house.carry_out()

    assert told == [9001]


async def test_a_send_that_was_only_too_late_goes_again_without_the_pause_after_a_refused_one() -> None:
    house = House(an_execution(), settled, pause=3600)
    house.stages.is_late_once = True

    async with asyncio.timeout(5):
        await house.carry_out()

    assert house.stages.called == ["submit"]


async def test_nobody_keeps_a_slot_from_the_first_while_waiting_for_a_slow_one() -> None:
    # Given a runway that is as short as can be, and two trades behind a slow one of their symbol
    house, turns = House(an_execution(), settled), Turns()
    for _ in range(50):
        house.runways.too_late("EURUSD")
    first, slow, *behind = (turns.join("EURUSD") for _ in range(4))
    slow.slow_down(is_late=True)
    waiting = [asyncio.create_task(house.flow.carry_out(house.execution, place)) for place in behind]
    await asyncio.sleep(0)

    # When the one before all of them, for which the slow one waits, comes to the runway last
    async with asyncio.timeout(5):
        await house.flow.carry_out(house.execution, first)

    # Then it is sent
    assert house.stages.called == ["submit"]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_slot_that_came_when_another_had_become_slow_is_given_back() -> None:
    house, turns = House(an_execution(), settled), Turns()
    first, behind = turns.join("EURUSD"), turns.join("EURUSD")
    taken = [await house.runways.enter("EURUSD") for _ in range(16)]
    waiting = asyncio.create_task(house.flow.carry_out(house.execution, behind))
    await asyncio.sleep(0)

    first.slow_down(is_late=True)
    taken.pop().leave()
    await asyncio.sleep(0)

    assert behind.runway is None
    first.leave()
    assert (await waiting).is_settled
