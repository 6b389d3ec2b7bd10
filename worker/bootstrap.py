"""The composition root: the only place where the worker's parts are put together, started and stopped."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import structlog

from worker import __version__, failpoints
from worker.clock import SystemClock
from worker.domain.broker_facts import StoredFacts
from worker.domain.errors import LeaseLost, TerminalUnavailable, WrongSetting
from worker.domain.execution import Venue
from worker.ledger.ledger import PostgresLedger
from worker.messaging.connection import connected
from worker.messaging.consumer import Consumer
from worker.messaging.dead_letters import Ingester
from worker.messaging.declaration import declare
from worker.messaging.lifeline import Lifeline
from worker.messaging.relay import Relay
from worker.messaging.topology import approved_queue, topology
from worker.mt5.pool import MT5ConnectionPool
from worker.mt5.terminal import PooledTerminal
from worker.mt5.wire import VenueFacts
from worker.observability import ALERTS, Outage, configure_logging
from worker.pipeline.drive import Driver
from worker.pipeline.flow import Flow
from worker.pipeline.intake import Intake
from worker.pipeline.late import LateEvidence
from worker.pipeline.monitor import Monitor
from worker.pipeline.reconcile import Reconciler
from worker.pipeline.recover import Recovery
from worker.pipeline.refusal import Refuser
from worker.pipeline.runway import Runways
from worker.pipeline.search import Searcher
from worker.pipeline.settle import Settler
from worker.pipeline.submit import Submitter
from worker.pipeline.validate import Validator
from worker.pipeline.watch import Watch
from worker.ports import DeadLetter, RefusedMessage
from worker.settings import LEASE_SECONDS, AccountMode, Backend, Settings, TerminalSession, worker_id

PREFETCH = 100  # fills a group commit while the one before it is written; bounds what huge messages may hold
SWITCH_SECONDS = 0.0005  # a terminal's thread that has an answer waits no longer than this for the busy loop
POLLS_IN_A_SILENCE = 3  # a poll may come as late as twice the interval after the last one
RESUME_BELOW = 0.9  # of MAX_IN_FLIGHT: the consumer does not flap at the limit
PUBLISH_WITHIN_SECONDS = 5.0  # at the end, for what is already in the outbox
HAND_OVER_WITHIN_SECONDS = 5.0  # at the end, for the last commits and the lease
TOLD_BY_BROKER = frozenset({"delivery_limit", "expired", "unknown_account"})  # nobody has told the sender of these yet

_log = structlog.get_logger()


class Worker:
    """One worker of one account, from its lease to its end."""

    def __init__(self, settings: Settings, ledger: PostgresLedger, lease_lost: asyncio.Event) -> None:
        clock, account = SystemClock(), settings.account
        self._settings, self._ledger, self._lease_lost = settings, ledger, lease_lost
        self._terminal = PooledTerminal(
            terminal_pool(settings, silence_limit=_silence_limit(settings), restarts_terminal=True)
        )
        self._refuser = Refuser(account, worker_id(), clock)
        self._settler = Settler(ledger, clock, worker_id())
        late = LateEvidence(ledger, self._settler)
        self._watch = Watch(self._terminal, clock, settings.poll_interval_seconds, ledger, late.take)
        searcher = Searcher(self._terminal, ledger, clock, settings.poll_interval_seconds)
        self._recovery = Recovery(searcher, late, ledger, clock, 2 * settings.unknown_horizon_seconds)
        self._validator = Validator(ledger, self._terminal, clock, settings)
        runways = Runways(lambda symbol: self._terminal.sender_of(settings.broker_symbol(symbol)))
        told = self._watch.answered
        submitter = Submitter(ledger, self._terminal, clock, settings, self._settler, runways, told)
        monitor = Monitor(ledger, self._terminal, clock, settings, self._settler, self._watch)
        self._reconciler = Reconciler(ledger, self._settler, searcher, self._watch, clock, settings)
        flow = Flow(
            self._validator,
            submitter,
            monitor,
            self._reconciler,
            self._settler,
            self._watch,
            late,
            runways,
            settings.retry_backoff_seconds,
        )
        self._in_flight_changed = asyncio.Event()
        self._driver = Driver(flow, ledger, self._in_flight_changed.set)
        self._intake = Intake(ledger, clock, account, self._refuser, self._driver.start)
        meaning = "new trades wait in RabbitMQ, confirmations in the outbox; trades in flight go on"
        self._outage = Outage("rabbitmq", meaning)
        self._consumer = self._make_consumer()
        self._relay = Relay(self._lifeline("relay"), ledger.outbox)
        self._ingester = Ingester(self._lifeline("dead letters"), ledger, self._tell)
        self._running: set[asyncio.Task[None]] = set()
        self._keeping: asyncio.Task[None]

    async def work(self, stop: asyncio.Event) -> None:
        """Lead the account until `stop` is set or the lease is lost. Raises what ended it otherwise."""
        self._keeping = self._start(self._ledger.lease.keep(self._report))
        try:
            if await _unless((stop, self._lease_lost), self._begin()):
                for part in (self._relay.run(), self._ingester.run(), self._consumer.run(), self._throttle()):
                    self._start(part)
                _log.info("worker_ready", account=self._settings.account, version=__version__)
            await self._until_ended(stop)
        finally:
            await self._stop()

    async def _begin(self) -> None:
        """Make ready for trades; no message is taken before it is known whose account it is and what was left open."""
        await self._open_terminal()
        await self._recover()

    async def _open_terminal(self) -> None:
        """Wait for the terminal, however long it takes."""
        while True:
            try:
                facts = await self._terminal.start()
            except TerminalUnavailable as error:
                _log.warning("terminal_not_ready", detail=str(error), meaning="no trade is taken; trying again")
                await asyncio.sleep(1)
                continue
            insist_on_account_mode(self._settings, facts)
            await self._learn_of_broker(facts.venue)
            await self._ledger.lease.bind(facts.venue.backend, facts.venue.server, facts.venue.login)
            self._settler.venue = facts.venue
            return

    async def _learn_of_broker(self, venue: Venue) -> None:
        """Take what canaries have measured: the lag of its history, and whether trades can be told apart at all."""
        known = await self._ledger.broker_facts(venue.server, venue.login)
        insist_on_kept_magic(known)
        for measured in known:
            self._watch.reckon_with(measured.history_lag)

    async def _recover(self) -> None:
        """Scan the broker, then start every open execution of the ledger; only after that does consuming begin."""
        began = time.monotonic()
        await self._recovery.scan()
        adopted = await self._driver.adopt()
        for part in (self._watch.run(), self._driver.sweep(), self._reconciler.search_on()):
            self._start(part)
        _log.info("recovered", executions=adopted, seconds=round(time.monotonic() - began, 3))

    async def _until_ended(self, stop: asyncio.Event) -> None:
        waits = {asyncio.create_task(stop.wait()), asyncio.create_task(self._lease_lost.wait())}
        done, _ = await asyncio.wait(waits | self._running, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        for task in done & self._running:
            task.result()  # a part that ends by itself has failed

    async def _stop(self) -> None:
        """Stop in this order, so that each part still finds those it needs."""
        fenced = self._lease_lost.is_set()
        patience = 0 if fenced else self._settings.drain_timeout_seconds
        await self._consumer.stop(within=min(patience, 5))  # 1 take nothing more; what is being taken in is committed
        sends_within = self._settings.terminal_call_timeout_seconds + HAND_OVER_WITHIN_SECONDS
        await self._driver.stop(
            patience, sends_within
        )  # 2 finish what is open; a send under way is always seen to its end
        await self._relay.stop(within=0 if fenced else PUBLISH_WITHIN_SECONDS)  # 3 confirm what was finished
        await self._ingester.stop(within=min(patience, 5))  # 4 dead letters of step 2 may just have come back
        await _cancelled(self._running - {self._keeping})
        await self._terminal.close()  # 5 no session outlives the lease
        await _cancelled({self._keeping})
        await self._hand_over(fenced=fenced)  # 6 the next worker need not wait

    async def _hand_over(self, *, fenced: bool) -> None:
        try:
            async with asyncio.timeout(HAND_OVER_WITHIN_SECONDS):
                await self._ledger.close(drain=not fenced)
        except TimeoutError:
            _log.warning("lease_left", meaning="PostgreSQL does not answer; the lease runs out by itself")
            await self._ledger.close(drain=False)

    async def _throttle(self) -> None:
        """Pause the consumer while too many executions are open."""
        limit = self._settings.max_in_flight
        while True:
            await self._in_flight_changed.wait()
            self._in_flight_changed.clear()
            if self._driver.in_flight >= limit:
                await self._consumer.pause()
                await self._room(int(limit * RESUME_BELOW))
                await self._consumer.resume()

    async def _room(self, at_most: int) -> None:
        while self._driver.in_flight > at_most:
            await self._in_flight_changed.wait()
            self._in_flight_changed.clear()

    def _tell(self, letter: DeadLetter) -> RefusedMessage | None:
        """Word the refusal for the sender of a message that never reached an intake."""
        if letter.reason not in TOLD_BY_BROKER:
            return None
        return self._refuser.tell(letter.message, letter.account, letter.reason, letter.detail)

    def _report(self) -> Mapping[str, Any]:
        """Return what `status` shows of this worker."""
        return {
            "worker_id": worker_id(),
            "version": __version__,
            "reported_at": datetime.now(UTC).isoformat(),
            "in_flight": self._driver.in_flight,
            "waiting_for_terminal": self._validator.waiting,
            "alerts": ALERTS.report(),
            "terminal": self._terminal.report(),
            "rabbitmq": {"consumer": self._consumer.connected, "relay": self._relay.connected},
        }

    def _make_consumer(self) -> Consumer:
        prefetch = min(PREFETCH, self._settings.max_in_flight)
        return Consumer(
            self._lifeline("consumer"), {approved_queue(self._settings.account): self._intake.take}, prefetch
        )

    def _lifeline(self, part: str) -> Lifeline:
        name, wanted = f"mt5-worker {self._settings.account} {part}", topology([self._settings.account])
        return Lifeline(self._settings.need_amqp_url(), name, self._outage, wanted)

    def _start(self, part: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(part)
        self._running.add(task)
        return task


async def run(settings: Settings) -> int:
    """Be a worker, or a standby for one, until SIGTERM or SIGINT; returns the exit code."""
    configure_logging(settings.log_level, settings.log_format)
    failpoints.arm(settings.failpoints, settings.failpoints_log)
    sys.setswitchinterval(SWITCH_SECONDS)
    stop = asyncio.Event()
    with _stopped_by_signals(stop):
        await _prepare_rabbitmq(settings)
        while not stop.is_set():
            await _lead_once(settings, stop)
    _log.info("worker_stopped", account=settings.account)
    return 0


async def _lead_once(settings: Settings, stop: asyncio.Event) -> None:
    """Wait for the lease and work until it is lost or the worker is stopped."""
    lost = asyncio.Event()
    ledger = await PostgresLedger.open(
        settings.need_postgres_url(),
        account=settings.account,
        worker_id=worker_id(),
        clock=SystemClock(),
        on_lease_lost=lost.set,
    )
    if not await _unless((stop,), ledger.lead(_standing_by)):
        await ledger.close(drain=False)
        return
    try:
        await Worker(settings, ledger, lost).work(stop)
    except LeaseLost as error:
        _log.error("lease_lost", detail=str(error), meaning="this worker sends nothing more; it stands by")


async def _unless(events: Sequence[asyncio.Event], work: Coroutine[Any, Any, None]) -> bool:
    """Do the work; False when one of the events was set first."""
    working, waits = asyncio.create_task(work), {asyncio.create_task(event.wait()) for event in events}
    await asyncio.wait({working, *waits}, return_when=asyncio.FIRST_COMPLETED)
    await _cancelled(waits)
    if working.done():
        working.result()
        return True
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return False


async def _prepare_rabbitmq(settings: Settings) -> None:
    """Declare the topology where this user may, else see that it is there."""
    async with connected(settings.need_amqp_url(), f"mt5-worker {settings.account} topology") as connection:
        problems = await declare(connection, topology([settings.account]))
    if problems:
        raise WrongSetting("\n".join(problems))


def _silence_limit(settings: Settings) -> float:
    """Return how long a session may hear nothing (s): as long as the lease lives, and never less than some polls."""
    return max(LEASE_SECONDS, POLLS_IN_A_SILENCE * settings.poll_interval_seconds)


def terminal_pool(
    settings: Settings, name: str = "", silence_limit: float | None = None, *, restarts_terminal: bool = False
) -> MT5ConnectionPool:
    """
    Return the account's terminal sessions, not yet opened; see SessionOptions for the limit and the restarts.

    A `name` sets them apart from the worker's own: a simulated terminal of another name stands beside the worker's.
    """
    common: dict[str, Any] = {
        "backend": str(settings.mt5_backend),
        "timeout": settings.terminal_call_timeout_seconds,
        "silence_limit": silence_limit,
        "restarts_terminal": restarts_terminal,
    }
    if settings.mt5_backend is Backend.SIMULATED:
        common |= {"book": settings.mt5_simulated_book, "netting": settings.account_mode is AccountMode.NETTING}
    sessions = {
        "-".join(filter(None, (name, session))): common | _login_data(settings, given)
        for session, given in settings.terminal_sessions.items()
    }
    return MT5ConnectionPool(sessions=sessions)


def _login_data(settings: Settings, session: TerminalSession) -> dict[str, Any]:
    if settings.mt5_backend is Backend.SIMULATED:
        return {}
    password = session.password.get_secret_value() if session.password else None
    return session.model_dump() | {"password": password}


def insist_on_account_mode(settings: Settings, facts: VenueFacts) -> None:
    """Stop when ACCOUNT_MODE is not the account's: an opposite trade means another thing in each mode."""
    if settings.mt5_backend is not Backend.NATIVE and settings.account_mode is None:
        return
    if settings.account_mode is None or settings.account_mode.value != facts.account_mode:
        raise WrongSetting(
            f"ACCOUNT_MODE: is {settings.account_mode or 'not set'}, and account {facts.venue.login} at "
            f"{facts.venue.server} is {facts.account_mode}; set it to what RPM expects of this account, "
            f"or use the right account"
        )


def insist_on_kept_magic(known: Sequence[StoredFacts]) -> None:
    """
    Stop on a broker that drops the magic number: no order or deal could be told to be this or that trade's.

    The newest canary decides, whatever its symbol: an older one's may not exist any more.
    """
    newest = max(known, key=lambda measured: measured.measured_at, default=None)
    if newest is not None and not newest.keeps_magic:
        raise WrongSetting(
            f"MT5_SERVER: {newest.server} does not keep the magic number of an order on login {newest.login}: a canary "
            f"on {newest.symbol} found so on {newest.measured_at:%Y-%m-%d %H:%M} UTC. No order there can be attributed "
            "to its trade, so none is sent. Ask the broker; then fly the canary again (`mt5-worker doctor --broker`): "
            "the newest decides"
        )


async def _cancelled(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _standing_by(holder: str) -> None:
    _log.info("standing_by", holder=holder, meaning="this worker takes over when the other one ends or falls silent")


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` on SIGTERM, SIGINT and Windows' Ctrl-Break. Plain handlers: loops on Windows know no others."""
    loop = asyncio.get_running_loop()

    def handle(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
