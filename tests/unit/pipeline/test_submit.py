"""What counts as a send: an order that was handed over, whatever came of it; never one that certainly stayed here."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.domain.stories import NOW, a_tick, a_trade, an_execution, an_instrument
from worker.domain.absence import HANDED_OVER_WITHIN, SENT_WITHIN
from worker.domain.checks import Measures
from worker.domain.execution import Execution, State, Venue
from worker.domain.halts import Halts
from worker.domain.limits import OrderLimits, Throttle
from worker.domain.market import NotSentReason, OrderRequest, SendReport, SendStatus
from worker.pipeline.runway import Runways
from worker.pipeline.settle import Settler
from worker.pipeline.submit import Submitter
from worker.pipeline.turns import Place, Turns
from worker.pipeline.watch import Watch
from worker.ports import Change
from worker.settings import SEND_DEADLINE_SECONDS, Settings

REQUOTE = SendReport(SendStatus.ANSWERED, retcode=10004)
AUTOTRADING_OFF = SendReport(SendStatus.ANSWERED, retcode=10027)
NO_PIPE = SendReport(SendStatus.NO_ANSWER, last_error=-10004, detail="No IPC connection")
DISCONNECTED = SendReport(SendStatus.NOT_SENT, NotSentReason.TERMINAL, detail="disconnected")
BROKEN_PIPE = SendReport(SendStatus.NO_ANSWER, last_error=-10002, detail="IPC recv failed")


class Desk:
    """A ledger that writes everything down, a terminal that answers the same each time, and a clock that stands."""

    lease_left = 5.0
    halts = Halts()

    def __init__(self, answer: SendReport, commit_takes: float = 0) -> None:
        self.answer = answer
        self.commit_takes = commit_takes
        self.passed = 0.0
        self.orders: list[OrderRequest] = []

    def sender_of(self, symbol: str) -> str:
        return f"the terminal of {symbol}"

    async def record(self, change: Change) -> Execution:
        self.passed += self.commit_takes
        return change.after

    async def submit(self, order: OrderRequest) -> SendReport:
        self.orders.append(order)
        return self.answer

    async def nothing_late(self, _evidence: object) -> None:
        raise AssertionError("nothing was seen")

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed


def a_submitter(desk: Any, throttle: Throttle | None = None) -> Submitter:
    settings = Settings(max_retries=3, _env_file=None)
    settler, runways = Settler(desk, desk, "here"), Runways(desk.sender_of)
    watch = Watch(desk, desk, 0.5, desk, desk.nothing_late)
    return Submitter(desk, desk, desk, settings, settler, runways, throttle or Throttle(OrderLimits()), watch)


async def after_attempts(answer: SendReport | Desk, count: int, place: Place | None = None) -> Execution:
    desk = answer if isinstance(answer, Desk) else Desk(answer)
    execution = an_execution(
        venue=Venue("simulated", "Demo", 1, "simulated"), requested_lots=Decimal(1), contract_size=Decimal(100_000)
    )
    measures = Measures(an_instrument(), a_tick(), a_tick().ask, Decimal(1), Decimal("0.0001"), Decimal(10))
    for _ in range(count):
        assert execution.state is State.RECEIVED
        execution = await a_submitter(desk).submit(execution, measures, place or Turns().join("EURUSD"))
    return execution


@pytest.mark.parametrize("answer", [REQUOTE, AUTOTRADING_OFF])
async def test_the_third_send_that_was_answered_is_the_last(answer: SendReport) -> None:
    ended = await after_attempts(answer, 3)

    assert (ended.state, ended.reason, ended.sends) == (State.ERROR, "network_error", 3)


@pytest.mark.parametrize("answer", [NO_PIPE, DISCONNECTED])
async def test_what_certainly_stayed_here_is_no_send(answer: SendReport) -> None:
    waiting = await after_attempts(answer, 10)

    assert (waiting.state, waiting.attempts, waiting.sends) == (State.RECEIVED, 10, 0)


async def test_what_may_have_left_is_a_send_and_its_outcome_unknown() -> None:
    unknown = await after_attempts(BROKEN_PIPE, 1)

    assert (unknown.state, unknown.sends) == (State.UNKNOWN, 1)


@pytest.mark.parametrize(
    ("answer", "goes_at_once"),
    [
        (SendReport(SendStatus.ANSWERED, retcode=10009), True),
        (SendReport(SendStatus.ANSWERED, retcode=10019), True),
        (BROKEN_PIPE, True),
        (REQUOTE, False),
        (DISCONNECTED, False),
    ],
)
async def test_the_next_order_of_a_symbol_waits_for_no_record_but_for_one_that_goes_again(
    answer: SendReport, *, goes_at_once: bool
) -> None:
    turns = Turns()
    first, second = turns.join("EURUSD"), turns.join("EURUSD")
    was_first: list[bool] = []

    class Watched(Desk):
        async def record(self, change: Change) -> Execution:
            was_first.append(turns.queue("EURUSD")[0] is second)
            return await super().record(change)

    await after_attempts(Watched(answer), 1, first)

    assert was_first == [False, goes_at_once]


@pytest.mark.parametrize(
    ("answer", "is_late"), [(SendReport(SendStatus.NOT_SENT, NotSentReason.DEADLINE), True), (REQUOTE, False)]
)
async def test_those_behind_know_at_once_of_one_that_goes_again_and_whether_time_was_all_that_it_lacked(
    answer: SendReport, *, is_late: bool
) -> None:
    place = Turns().join("EURUSD")

    await after_attempts(answer, 1, place)

    assert (place.is_quick.is_set(), place.is_late) == (False, is_late)


async def test_a_send_begins_within_its_deadline_of_the_commit() -> None:
    desk = Desk(REQUOTE, commit_takes=1)
    await after_attempts(desk, 1)
    deadline = 1 + SEND_DEADLINE_SECONDS
    assert desk.orders[0].send_before == NOW + timedelta(seconds=deadline)
    assert desk.orders[0].send_before_monotonic == deadline


@pytest.mark.parametrize("commit_takes", [9.0, 30.0])
async def test_a_send_that_was_written_ahead_long_ago_does_not_begin(commit_takes: float) -> None:
    # Given a commit that was tried again and again through an outage: how long a terminal may have held the request is
    # counted from the write-ahead
    desk = Desk(REQUOTE, commit_takes)
    await after_attempts(desk, 1)
    assert desk.orders[0].send_before == NOW + SENT_WITHIN
    assert desk.orders[0].send_before_monotonic == SENT_WITHIN.total_seconds()
    assert SENT_WITHIN < HANDED_OVER_WITHIN


async def test_two_names_of_one_symbol_at_the_broker_are_alike() -> None:
    # Given a map that gives EURUSD.r of the broker two names, and a limit of one order alike
    desk, trade = Desk(BROKEN_PIPE), a_trade()
    submitter = a_submitter(desk, Throttle(OrderLimits(repeated=1)))
    measures = Measures(an_instrument(), a_tick(), a_tick().ask, Decimal(1), Decimal("0.0001"), Decimal(10))
    ends = []
    for name in ("EURUSD", "EUR/USD"):
        named = replace(trade, decision=replace(trade.decision, symbol=name))
        execution = an_execution(named, broker_symbol="EURUSD.r", venue=Venue("simulated", "Demo", 1, "simulated"))
        ends.append(await submitter.submit(execution, measures, Turns().join(name)))

    assert [end.reason for end in ends] == [None, "limit_exceeded"]
    assert "to buy 100000 EURUSD.r were written ahead" in (ends[1].detail or "")
    assert len(desk.orders) == 1
