"""A worker's life: from its lease over recovery and work to its end, in the order that loses nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from worker import __version__
from worker.domain.errors import TerminalUnavailable
from worker.domain.execution import Venue
from worker.ledger.ledger import PostgresLedger
from worker.messaging.consumer import Consumer
from worker.messaging.dead_letters import Ingester
from worker.messaging.relay import Relay
from worker.metering import Backlog
from worker.monitoring.health import Vitals
from worker.mt5.terminal import PooledTerminal
from worker.observability import ALERTS, Outage
from worker.pipeline.drive import Driver
from worker.pipeline.holding import Holding
from worker.pipeline.intake import Intake
from worker.pipeline.reconcile import Reconciler
from worker.pipeline.recover import Recovery
from worker.pipeline.settle import Settler
from worker.pipeline.validate import Validator
from worker.pipeline.watch import Watch
from worker.settings import Settings, worker_id
from worker.venue import insist_on_account_mode, insist_on_kept_magic

RESUME_BELOW = 0.9  # of MAX_IN_FLIGHT: the consumer does not flap at the limit
PUBLISH_WITHIN_SECONDS = 5.0  # at the end, for what is already in the outbox
HAND_OVER_WITHIN_SECONDS = 5.0  # at the end, for the last commits and the lease
BACKLOG_SECONDS = 5.0  # between two looks at what is open, for metrics
BACKLOG_KEPT_SECONDS = 3 * BACKLOG_SECONDS  # then it is not told any more: it may not be so

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker runs, put together by bootstrap. The event is set whenever an execution begins or ends."""

    ledger: PostgresLedger
    terminal: PooledTerminal
    settler: Settler
    watch: Watch
    recovery: Recovery
    validator: Validator
    holding: Holding
    reconciler: Reconciler
    driver: Driver
    intake: Intake
    consumer: Consumer
    relay: Relay
    ingester: Ingester
    in_flight_changed: asyncio.Event
    outage: Outage  # of RabbitMQ


class Worker:
    """One worker of one account, from its lease to its end."""

    def __init__(self, settings: Settings, parts: Parts, lease_lost: asyncio.Event) -> None:
        self._settings, self._parts, self._lease_lost = settings, parts, lease_lost
        self._leads_since = datetime.now(UTC)
        self._running: set[asyncio.Task[None]] = set()
        self._keeping: asyncio.Task[None]
        self._backlog: Backlog | None = None
        self._backlog_good_until = float("-inf")
        self._has_recovered = self._is_stopping = False

    async def work(self, stop: asyncio.Event) -> None:
        """Lead the account until `stop` is set or the lease is lost. Raises what ended it otherwise."""
        self._keeping = self._start(self._parts.ledger.lease.keep(self._report))
        if self._settings.http_port:
            self._start(self._look_at_backlog())
        try:
            if await unless((stop, self._lease_lost), self._begin()):
                for part in (self._parts.relay, self._parts.ingester, self._parts.consumer):
                    self._start(part.run())
                self._start(self._throttle())
                limits = self._settings.limits_in_force
                _log.info("worker_ready", account=self._settings.account, version=__version__, limits=limits)
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
                facts = await self._parts.terminal.start()
            except TerminalUnavailable as error:
                _log.warning("terminal_not_ready", detail=str(error), meaning="no trade is taken; trying again")
                await asyncio.sleep(1)
                continue
            insist_on_account_mode(self._settings, facts)
            await self._learn_of_broker(facts.venue)
            await self._parts.ledger.lease.bind(facts.venue.backend, facts.venue.server, facts.venue.login)
            self._parts.settler.venue = facts.venue
            return

    async def _learn_of_broker(self, venue: Venue) -> None:
        """Take what canaries have measured: the lag of its history, and whether trades can be told apart at all."""
        known = await self._parts.ledger.broker_facts(venue.server, venue.login)
        insist_on_kept_magic(known)
        for measured in known:
            self._parts.watch.reckon_with(measured.history_lag)

    async def _recover(self) -> None:
        """Scan the broker, then start every open execution of the ledger; only after that does consuming begin."""
        began = time.monotonic()
        await self._parts.recovery.scan()
        await self._parts.recovery.recall()
        adopted = await self._parts.driver.adopt()
        for part in (self._parts.watch.run(), self._parts.driver.sweep(), self._parts.reconciler.search_on()):
            self._start(part)
        self._has_recovered = True
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
        fenced, self._is_stopping = self._lease_lost.is_set(), True
        patience = 0 if fenced else self._settings.drain_timeout_seconds
        await self._parts.consumer.stop(
            within=min(patience, 5)
        )  # 1 take nothing more; what is being taken in is committed
        sends_within = self._settings.terminal_call_timeout_seconds + HAND_OVER_WITHIN_SECONDS
        await self._parts.driver.stop(
            patience, sends_within
        )  # 2 finish what is open; a send under way is always seen to its end
        await self._parts.relay.stop(within=0 if fenced else PUBLISH_WITHIN_SECONDS)  # 3 confirm what was finished
        await self._parts.ingester.stop(within=min(patience, 5))  # 4 dead letters of step 2 may just have come back
        await cancelled(self._running - {self._keeping})
        await self._parts.terminal.close()  # 5 no session outlives the lease
        await cancelled({self._keeping})
        await self._hand_over(fenced=fenced)  # 6 the next worker need not wait

    async def _hand_over(self, *, fenced: bool) -> None:
        try:
            async with asyncio.timeout(HAND_OVER_WITHIN_SECONDS):
                await self._parts.ledger.close(drain=not fenced)
        except TimeoutError:
            _log.warning("lease_left", meaning="PostgreSQL does not answer; the lease runs out by itself")
            await self._parts.ledger.close(drain=False)

    async def _throttle(self) -> None:
        """Pause the consumer while too many executions are open."""
        limit = self._settings.max_in_flight
        while True:
            await self._parts.in_flight_changed.wait()
            self._parts.in_flight_changed.clear()
            if self._parts.driver.in_flight >= limit:
                await self._parts.consumer.pause()
                await self._room(int(limit * RESUME_BELOW))
                await self._parts.consumer.resume()

    async def _room(self, at_most: int) -> None:
        while self._parts.driver.in_flight > at_most:
            await self._parts.in_flight_changed.wait()
            self._parts.in_flight_changed.clear()

    def _report(self) -> Mapping[str, Any]:
        """Return what `status` shows of this worker."""
        return {
            "worker_id": worker_id(),
            "version": __version__,
            "leads_since": self._leads_since.isoformat(),
            "reported_at": datetime.now(UTC).isoformat(),
            "in_flight": self._parts.driver.in_flight,
            "waiting_for_terminal": self._parts.validator.waiting,
            "held": self._parts.holding.held,
            "limits": self._settings.limits_in_force,
            "alerts": ALERTS.report(),
            "last_errors": ALERTS.last_errors(),
            "terminal": self._parts.terminal.report(),
            "rabbitmq": {"consumer": self._parts.consumer.connected, "relay": self._parts.relay.connected},
        }

    def vitals(self) -> Vitals:
        """Return how this worker stands; in the event loop only."""
        parts, sessions = self._parts, self._parts.terminal.report().values()
        return Vitals(
            missing=tuple(self._missing()),
            lease_left=0 if self._lease_lost.is_set() else max(0.0, parts.ledger.lease_left),
            lease_epoch=parts.ledger.lease_epoch,
            halted=parts.ledger.halts.account is not None,
            halted_symbols=len(parts.ledger.halts.symbols),
            connected=self._connected(),
            reconnects={"rabbitmq": parts.outage.reconnects, "postgresql": parts.ledger.outage.reconnects},
            terminal_up={session["session"]: session["problem"] is None for session in sessions},
            session_restarts={session["session"]: session["restarts"] for session in sessions},
            waiting_for_terminal=len(parts.validator.waiting),
            replies_lost=parts.relay.counts.replies_lost,
            last_comparison_age_seconds=_age(parts.ledger.watermark.looked_until),
            clock_ahead_seconds=parts.intake.clock_ahead_seconds,
            backlog=self._backlog if time.monotonic() < self._backlog_good_until else None,
        )

    def _missing(self) -> Iterator[str]:
        """Yield what trades would have to wait for."""
        if self._is_stopping:
            yield "the worker is stopping"
        if self._parts.ledger.lease_left <= 0:
            yield "the lease has run out: another worker may have taken over"
        if self._parts.ledger.outage.is_on:
            yield "PostgreSQL does not answer"
        if not self._has_recovered:
            yield "the broker and the ledger have not been compared yet"
        elif not self._has_rabbitmq:
            yield "RabbitMQ is not reached"
        for session in self._parts.terminal.report().values():
            if session["problem"] is not None:
                yield f"terminal session {session['session']}: {session['problem']}"

    def _connected(self) -> Mapping[str, bool]:
        """Return which services are reached; whether RabbitMQ is cannot be known before the recovery has ended."""
        rabbitmq = {"rabbitmq": self._has_rabbitmq} if self._has_recovered else {}
        return {**rabbitmq, "postgresql": not self._parts.ledger.outage.is_on}

    @property
    def _has_rabbitmq(self) -> bool:
        return self._parts.consumer.connected and self._parts.relay.connected

    async def _look_at_backlog(self) -> None:
        """Read now and then what the account has open; what cannot be read for a while is not known any more."""
        while True:
            try:
                self._backlog = await self._parts.ledger.backlog()
                self._backlog_good_until = time.monotonic() + BACKLOG_KEPT_SECONDS
            except Exception:  # noqa: BLE001 - figures must never end a worker
                _log.exception("backlog_unread", meaning="metrics lack figures; trades are not affected")
            await asyncio.sleep(BACKLOG_SECONDS)

    def _start(self, part: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(part)
        self._running.add(task)
        return task


async def unless(events: Sequence[asyncio.Event], work: Coroutine[Any, Any, None]) -> bool:
    """Do the work; False when one of the events was set first."""
    working, waits = asyncio.create_task(work), {asyncio.create_task(event.wait()) for event in events}
    await asyncio.wait({working, *waits}, return_when=asyncio.FIRST_COMPLETED)
    await cancelled(waits)
    if working.done():
        working.result()
        return True
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return False


async def cancelled(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their ends, whatever they are."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _age(moment: datetime | None) -> float | None:
    return None if moment is None else max(0.0, (datetime.now(UTC) - moment).total_seconds())
