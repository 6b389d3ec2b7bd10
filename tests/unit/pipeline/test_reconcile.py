"""An unknown outcome is found, or proved absent, or given to a person; nothing that was ever seen is proved absent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from tests.unit.domain.stories import NOW, an_execution
from worker.domain.errors import WorkerError
from worker.domain.evidence import Evidence
from worker.domain.execution import Attempt, Execution, State
from worker.domain.market import BrokerDeal, BrokerOrder, Custody, OrderState, Search
from worker.domain.token import attempt_token
from worker.pipeline import reconcile
from worker.pipeline.reconcile import Reconciler
from worker.pipeline.search import Look
from worker.pipeline.settle import Settler
from worker.pipeline.watch import Watch
from worker.ports import Change
from worker.settings import Settings

LOT = Decimal(1)
SENDER = "desk:terminal64.exe"
FIRST, SECOND = (attempt_token(an_execution().token, number) for number in (1, 2))


class Times:
    """Both clocks; a search takes a second, so that a minute of seeking is a minute of theirs only."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed


class Books:
    """Takes every change, and keeps the last attempt of each execution."""

    def __init__(self, *unresolved: Execution) -> None:
        self.changes: list[Change] = []
        self.attempt = a_lost_attempt()
        self.waiting = unresolved
        self.settled = asyncio.Event()
        self.refused: set[UUID] = set()

    async def record(self, change: Change) -> Execution:
        if change.after.execution_id in self.refused:
            raise WorkerError("the ledger refused a write")
        self.changes.append(change)
        self.settled.set()
        return change.after

    async def latest_attempt(self, _execution_id: object) -> Attempt:
        return self.attempt

    async def unresolved(self) -> list[Execution]:
        return list(self.waiting)


class Searches:
    """Shows one look after the other, the last one for ever; `meanwhile` happens during each."""

    def __init__(self, times: Times, *looks: Evidence) -> None:
        self.times, self.looks = times, list(looks)
        self.meanwhile: Any = lambda _number: None
        self.restarted_at: float | None = None  # the terminal that was given the request, in seconds passed
        self.made = 0
        self.seen_by: frozenset[str] | None = None  # whose looks these are; None: of whoever was asked for
        self.asked: list[frozenset[str]] = []

    async def look(self, *what: Any) -> Look:
        self.asked.append(what[-1])
        began = self.times.passed
        self.times.passed += 1
        self.made += 1
        await asyncio.sleep(0)
        seen = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        self.meanwhile(self.made)
        found: Mapping[int, Evidence] = {an_execution().token: seen} if seen else {}
        by = what[-1] if self.seen_by is None else self.seen_by
        search = Search(readable=True, newest_deal=70, orders=_orders(seen), custody=self._custody(), looked_by=by)
        return Look(began, search, found)

    def _custody(self) -> dict[str, Custody]:
        if self.restarted_at is None or self.times.passed < self.restarted_at:
            return {SENDER: Custody(NOW - timedelta(days=1), in_session=False)}
        return {SENDER: Custody(NOW + timedelta(seconds=self.restarted_at), in_session=False)}


class Desk:
    """One reconciler with everything around it."""

    def __init__(self, *looks: Evidence, unresolved: tuple[Execution, ...] = ()) -> None:
        self.times, self.books = Times(), Books(*unresolved)
        self.searches = Searches(self.times, *looks)
        self.watch = Watch(*_any(None, self.times, 0.5, None, None))
        settler = Settler(*_any(self.books, self.times, "worker"))
        settings = Settings(_env_file=None, postgres_url=None, amqp_url=None)
        self.reconciler = Reconciler(
            *_any(self.books, settler, self.searches, self.watch, self.times, settings),
        )


def _any(*parts: Any) -> tuple[Any, ...]:
    return parts


def _orders(seen: Evidence) -> tuple[BrokerOrder, ...]:
    return tuple(seen.orders.values())


def a_lost_attempt(**changes: Any) -> Attempt:
    return replace(Attempt(1, FIRST, LOT, outcome="ambiguous", retcode=10012, written_at=NOW), **changes)


def unknown(**changes: Any) -> Execution:
    facts: dict[str, Any] = {
        "state": State.UNKNOWN,
        "attempts": 1,
        "sends": 1,
        "requested_lots": LOT,
        "contract_size": LOT,
    }
    return an_execution(**(facts | changes))


def an_order(ticket: int, magic: int, state: OrderState, left: Decimal = LOT) -> BrokerOrder:
    return BrokerOrder(ticket, magic, "EURUSD", state, LOT, left, 0, "", historical=state != OrderState.PLACED)


def seen(*what: BrokerOrder | BrokerDeal) -> Evidence:
    evidence = Evidence()
    for one in what:
        if isinstance(one, BrokerOrder):
            evidence.add_order(one)
        else:
            evidence.add_deal(one)
    return evidence


async def test_what_no_look_shows_is_proved_absent_and_may_be_sent_again() -> None:
    desk = Desk(Evidence())
    after = await desk.reconciler.seek(unknown())
    assert after.state is State.RECEIVED
    assert desk.times.passed > 15


@pytest.mark.parametrize("restarted_at", [3.0, 12.0, 24.0])
async def test_the_horizon_begins_anew_when_the_terminal_that_hung_has_been_restarted(restarted_at: float) -> None:
    # Given a send without an answer, whose terminal is restarted only while absence is being proved
    desk = Desk(Evidence())
    desk.books.attempt = a_lost_attempt(retcode=None, answered_at=NOW, sender=SENDER)
    desk.searches.restarted_at = restarted_at

    after = await desk.reconciler.seek(unknown())

    # Then looks count from a horizon after that
    assert after.state is State.RECEIVED
    assert desk.times.passed > restarted_at + 15


async def test_a_send_without_an_answer_stays_unknown_while_its_terminal_lives_on() -> None:
    desk = Desk(Evidence())
    desk.books.attempt = a_lost_attempt(retcode=None, answered_at=NOW, sender=SENDER)
    assert (await desk.reconciler.seek(unknown())).state is State.UNRESOLVED


async def test_what_another_terminal_does_not_show_is_looked_for_by_its_own() -> None:
    # Given several terminals, of which another one than the sender's answers
    desk = Desk(Evidence())
    desk.books.attempt = a_lost_attempt(sender=SENDER)
    assert (await desk.reconciler.seek(unknown())).state is State.RECEIVED

    # Then its own was asked to look once, when that could prove something
    assert [senders for senders in desk.searches.asked if senders] == [{SENDER}]
    assert not any(desk.searches.asked[:15])


async def test_what_its_own_terminal_never_looks_for_is_not_proved_absent() -> None:
    desk = Desk(Evidence())
    desk.books.attempt = a_lost_attempt(sender=SENDER)
    desk.searches.seen_by = frozenset({"another"})
    after = await desk.reconciler.seek(unknown())
    assert after.state is State.UNRESOLVED
    assert "has not looked itself" in (after.detail or "")


async def test_the_restart_of_another_terminal_says_nothing_of_it() -> None:
    desk = Desk(Evidence())
    desk.books.attempt = a_lost_attempt(retcode=None, answered_at=NOW, sender="another")
    desk.searches.restarted_at = 3.0
    assert (await desk.reconciler.seek(unknown())).state is State.UNRESOLVED


async def test_an_order_that_was_adopted_and_has_vanished_is_not_proved_absent() -> None:
    """Once found, always there: a terminal that does not show it any more has lost it, not the broker."""
    desk = Desk(Evidence())
    desk.books.attempt = a_lost_attempt(outcome="found", order_ticket=7)
    after = await desk.reconciler.seek(unknown(order_ticket=7, accepted_at=NOW, cancelled_at=NOW))
    assert after.state is State.UNRESOLVED


async def test_what_a_poll_has_seen_is_not_proved_absent_by_searches_that_saw_nothing() -> None:
    """The poll shows an order that is filled, its deal lags: two empty searches before that prove nothing."""
    desk = Desk(Evidence())
    poll = seen(an_order(7, FIRST, OrderState.FILLED, Decimal(0)))

    def just_before_the_proof(number: int) -> None:
        if number == 20:
            desk.watch.register(an_execution().token).evidence.add(poll)

    desk.searches.meanwhile = just_before_the_proof
    after = await desk.reconciler.seek(unknown())
    assert after.state is State.UNRESOLVED


async def test_the_order_of_an_attempt_that_was_refused_does_not_end_the_one_after_it() -> None:
    desk = Desk(seen(an_order(7, FIRST, OrderState.REJECTED), an_order(8, SECOND, OrderState.PLACED)))
    desk.books.attempt = a_lost_attempt(number=2, magic=SECOND)
    after = await desk.reconciler.seek(unknown(attempts=2, sends=2))
    assert (after.state, after.order_ticket) == (State.ACCEPTED, 8)


@pytest.mark.parametrize("order", [OrderState.REJECTED, OrderState.CANCELED])
async def test_the_refused_order_alone_says_nothing_about_the_attempt_after_it(order: OrderState) -> None:
    desk = Desk(seen(an_order(7, FIRST, order)))
    desk.books.attempt = a_lost_attempt(number=2, magic=SECOND)
    after = await desk.reconciler.seek(unknown(attempts=2, sends=2))
    assert after.state is State.UNRESOLVED


async def test_one_unresolved_trade_s_defect_does_not_end_the_search_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = unknown(state=State.UNRESOLVED, version=1)
    sound = replace(broken, execution_id=UUID(int=2))
    desk = Desk(seen(an_order(7, FIRST, OrderState.CANCELED)), unresolved=(broken, sound))
    desk.books.refused = {broken.execution_id}
    monkeypatch.setattr(reconcile, "SEARCH_UNRESOLVED_SECONDS", 0)

    searching = asyncio.create_task(desk.reconciler.search_on())
    async with asyncio.timeout(5):
        await desk.books.settled.wait()
    searching.cancel()

    assert desk.books.changes[0].after.execution_id == sound.execution_id
    assert desk.books.changes[0].after.state is State.CANCELLED
