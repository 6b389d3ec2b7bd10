"""
One storm: an account with its worker, book and wires of its own, its trades, its faults, and the verdict at the end.

RabbitMQ's virtual host and the database may be shared with any number of other storms.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals
from typing import Any

from tests.faults.ends import MAX_RETRIES, MAX_TRADE_AGE_SECONDS, ends, has_ended
from tests.faults.keeper import Keeper
from tests.faults.plan import Fault, Plan, PlannedTrade, Target, Trick
from tests.faults.proxy import Proxy
from tests.faults.verdict import Verdict, judge, wait_until_quiet
from tests.fixtures.book import Book
from tests.fixtures.broker import Broker
from tests.fixtures.rpm import RPM, Sent, approval
from tests.fixtures.subscriber import Confirmation, Subscriber
from tests.fixtures.worker_process import WorkerProcess
from worker.mt5.simulated.book import Book as OpenBook

ENDS_WITHIN_SECONDS = 120.0
READY_WITHIN_SECONDS = 60.0
PUBLISHED_WITHIN_SECONDS = 90.0
_GLANCE_SECONDS = 0.2
_FIRST_LOGIN = 60_000_000
_SETTINGS = {
    "MT5_BACKEND": "simulated",
    "MAX_TRADE_AGE_SECONDS": str(MAX_TRADE_AGE_SECONDS),
    "MAX_RETRIES": str(MAX_RETRIES),
    "ORDER_TIMEOUT_SECONDS": "3",  # longer than `.slow` takes
    "UNKNOWN_HORIZON_SECONDS": "1",
    "TERMINAL_CALL_TIMEOUT_SECONDS": "2",
    "RETRY_BACKOFF_SECONDS": "0.05",
    "POLL_INTERVAL_SECONDS": "0.2",
    "LOG_FORMAT": "json",
}


@dataclass(frozen=True)
class Report:
    """How a storm went."""

    plan: Plan
    verdict: Verdict
    lives: int
    seconds: float
    folder: Path


class Births:
    """Keeps storms from bringing queues into the world while RabbitMQ is about to be killed, and the other way round.

    RabbitMQ 3.10 forgets a quorum queue when it is killed soon after the queue's declaration; nobody needs to wait for
    that (`age_seconds`) where nobody kills.
    """

    def __init__(self, age_seconds: float = 0.0) -> None:
        self._age_seconds = age_seconds
        self._changed = threading.Condition()
        self._under_way = 0
        self._killing = False

    @contextmanager
    def birth(self) -> Iterator[None]:
        """Declare queues in here; the age is waited for at its end."""
        with self._changed:
            self._changed.wait_for(lambda: not self._killing)
            self._under_way += 1
        try:
            yield
            time.sleep(self._age_seconds)  # nothing tells when it is over
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    @contextmanager
    def none(self) -> Iterator[None]:
        """Kill in here."""
        with self._changed:
            self._changed.wait_for(lambda: not self._killing)
            self._killing = True
            self._changed.wait_for(lambda: self._under_way == 0)
        try:
            yield
        finally:
            with self._changed:
                self._killing = False
                self._changed.notify_all()


class Storm:
    """Carries out a plan."""

    def __init__(self, plan: Plan, amqp_url: str, postgres_url: str, folder: Path, births: Births) -> None:
        self._plan, self._folder, self._births = plan, folder, births
        self._account = f"storm-{plan.seed}"
        self._amqp_url, self._postgres_url = amqp_url, postgres_url
        self._amqp, self._postgres = Proxy(f"{amqp_url}?heartbeat=3"), Proxy(postgres_url)
        book = folder / "book.sqlite"
        self._book, self._broker = Book(book), Broker(book)
        settings = {**_SETTINGS, "ACCOUNT": self._account, "MT5_SIMULATED_BOOK": str(book)}
        settings["MAX_IN_FLIGHT"] = str(plan.max_in_flight)
        self._settings = settings
        self._began = 0.0

    def run(self) -> Report:
        """Let it happen, wait for the calm, judge. The ledger must have its tables already."""
        began = time.monotonic()
        _open_account(self._folder / "book.sqlite", _FIRST_LOGIN + self._plan.seed)
        with ExitStack() as stack:
            stack.enter_context(self._amqp)
            stack.enter_context(self._postgres)
            self._settings |= {"AMQP_URL": self._amqp.url, "POSTGRES_URL": self._postgres.url}
            self._worker = WorkerProcess(self._settings, self._folder)
            keeper = Keeper(self._worker)
            stack.callback(keeper.stop)
            with self._births.birth():
                keeper.start()
                self._wait_until_ready()
                subscriber = stack.enter_context(self._subscriber())
            published = self._rage(stack)
            self._calm(subscriber, published)
            keeper.stop()
            verdict = self._judge(keeper, subscriber.received, published)
        return Report(self._plan, verdict, len(keeper.codes), time.monotonic() - began, self._folder)

    def _subscriber(self) -> Subscriber:
        return Subscriber(self._amqp_url, binding=f"confirmation.*.{self._account}.#")

    def _wait_until_ready(self) -> None:
        rpm, deadline = RPM(self._amqp_url), time.monotonic() + READY_WITHIN_SECONDS
        while not rpm.listeners(f"trades.approved.{self._account}"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the worker of {self._account} does not consume:\n{self._worker.log[-4000:]}")
            time.sleep(_GLANCE_SECONDS)
        rpm.close()

    def _rage(self, stack: ExitStack) -> list[Sent]:
        """Publish and break things at the same time; returns what was published when both are done."""
        self._began = time.monotonic()
        with ThreadPoolExecutor(1) as publishing:
            published = publishing.submit(self._publish)
            for at, act in sorted(self._acts(stack), key=lambda one: one[0]):
                self._until(at)
                act()
            return published.result(PUBLISHED_WITHIN_SECONDS)

    def _publish(self) -> list[Sent]:
        """Publish as RPM does that keeps trying while RabbitMQ is away."""
        messages: dict[int, Sent] = {}
        posts = [(at, trade) for trade in self._plan.trades for at in (trade.at, *trade.repeats)]
        rpm = RPM(self._amqp_url, patience=PUBLISHED_WITHIN_SECONDS)
        for at, trade in sorted(posts, key=lambda post: post[0]):
            self._until(at)
            first = messages.get(trade.number)
            key = f"approved.{self._account}.{trade.symbol}"
            sent = rpm.publish(first.body if first else self._message(trade), routing_key=key)
            messages.setdefault(trade.number, sent)
        rpm.close()
        return list(messages.values())

    def _message(self, trade: PlannedTrade) -> dict[str, object]:
        order_id = f"{self._account}-{trade.number}"
        return approval(trade.symbol, trade.units, trade.direction, order_id=order_id)

    def _acts(self, stack: ExitStack) -> Iterator[tuple[float, Callable[[], None]]]:
        """Return what to do when: every fault's beginning, and its end where it has one."""
        for fault in self._plan.faults:
            match fault.target:
                case Target.RABBITMQ:
                    yield from _on_the_wire(fault, self._amqp)
                case Target.POSTGRES:
                    yield from _on_the_wire(fault, self._postgres)
                case Target.BROKER:
                    yield from self._at_the_broker(fault, stack)
                case Target.WORKER | Target.SESSION:
                    yield from self._to_a_process(fault)

    def _to_a_process(self, fault: Fault) -> Iterator[tuple[float, Callable[[], None]]]:
        frozen: list[int] = []

        def hit() -> None:
            frozen[:] = [self._worker.pid] if fault.target is Target.WORKER else self._worker.sessions
            _signal(frozen, SIGKILL if fault.trick is Trick.KILL else SIGSTOP)

        yield fault.at, hit
        if fault.trick is Trick.FREEZE:
            yield fault.at + fault.seconds, lambda: _signal(frozen, SIGCONT)

    def _at_the_broker(self, fault: Fault, stack: ExitStack) -> Iterator[tuple[float, Callable[[], None]]]:
        trouble = {
            Trick.DISCONNECT: self._broker.disconnected,
            Trick.FORGET: self._broker.history_lost,
            Trick.FREEZE: self._broker.frozen,
        }[fault.trick]()
        ending = ExitStack()
        stack.push(ending)
        yield fault.at, lambda: ending.enter_context(trouble)
        yield fault.at + fault.seconds, ending.close

    def _calm(self, subscriber: Subscriber, published: Sequence[Sent]) -> None:
        """Wait until every trade has come to an end that it may have, or for too long."""
        for wire in (self._amqp, self._postgres):
            wire.heal()

        def all_ended(received: Sequence[Confirmation]) -> bool:
            told: dict[str, list[Confirmation]] = {}
            for one in received:
                told.setdefault(one.correlation_id, []).append(one)
            return all(has_ended(sent, told.get(sent.correlation, [])) for sent in published)

        with suppress(TimeoutError):  # the verdict says what is missing
            subscriber.wait_until(all_ended, "not all trades have ended", timeout=ENDS_WITHIN_SECONDS)
        wait_until_quiet(self._postgres_url, self._account)

    def _judge(self, keeper: Keeper, received: Sequence[Confirmation], published: Sequence[Sent]) -> Verdict:
        verdict = judge(
            self._account,
            published,
            book=self._book,
            received=received,
            postgres_url=self._postgres_url,
            ends=ends,
        )
        return replace(verdict, wrong=(*verdict.wrong, *self._misbehaviour(keeper)))

    def _misbehaviour(self, keeper: Keeper) -> Iterator[str]:
        yield from (f"the worker ended by itself with code {code}" for code in keeper.strange_codes)
        failures = Counter(event["event"] for event in self._worker.events if _is_failure(event))
        yield from (f"the worker's log has {count} exceptions in {name}" for name, count in failures.items())
        if "Traceback" in "".join(line for line in self._worker.log.splitlines() if not line.startswith("{")):
            yield "the worker printed a traceback"

    def _until(self, at: float) -> None:
        time.sleep(max(0.0, self._began + at - time.monotonic()))


def _is_failure(event: Mapping[str, Any]) -> bool:
    """Recognise a defect in the log; pika trips over a connection that is reset while it is being made, and gets up."""
    exception = event.get("exception", "")
    return bool(exception) and not (event["logger"] == "asyncio" and "getpeername() failed" in exception)


def _on_the_wire(fault: Fault, wire: Proxy) -> Iterator[tuple[float, Callable[[], None]]]:
    towards, moment = fault.towards, fault.moment
    match fault.trick:
        case Trick.RESET:
            yield fault.at, wire.cut
        case Trick.CLOSE:
            yield fault.at, lambda: wire.cut(reset=False)
        case Trick.REFUSE:
            yield fault.at, wire.refuse
            yield fault.at, wire.cut
        case Trick.DELAY:
            yield fault.at, lambda: wire.delay(0.05)
        case Trick.STALL if towards is not None:
            yield fault.at, lambda: wire.stall(towards)
        case Trick.LOSE if towards is not None:
            yield fault.at, lambda: wire.lose(towards)
        case Trick.CUT_AT if moment is not None:
            yield fault.at, lambda: wire.cut_at(moment)
    if fault.seconds:
        yield fault.at + fault.seconds, wire.heal


def _signal(pids: Sequence[int], number: Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _open_account(path: Path, login: int) -> None:
    """Open the broker's book; a ledger knows each login once."""
    book = OpenBook(path)
    book.change("UPDATE meta SET login = ?", (login,))
    book.close()
