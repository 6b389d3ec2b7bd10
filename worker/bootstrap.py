"""The composition root: the only place where the worker's parts are put together."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

import structlog

from worker import __version__, failpoints
from worker.clock import SystemClock
from worker.domain.errors import LeaseLost, WrongSetting
from worker.domain.limits import Throttle
from worker.ledger.ledger import PostgresLedger
from worker.lifecycle import Parts, Worker, cancelled, unless
from worker.memory import give_back_large_blocks, look_through_what_is_new
from worker.messaging.connection import connected
from worker.messaging.consumer import Consumer
from worker.messaging.dead_letters import Ingester
from worker.messaging.declaration import declare
from worker.messaging.inspection import publish_all
from worker.messaging.lifeline import Lifeline
from worker.messaging.relay import Relay
from worker.messaging.topology import approved_queue, topology
from worker.monitoring.exposition import Exposition
from worker.monitoring.gauges import Gauges
from worker.monitoring.health import Pulse, Vitals
from worker.monitoring.http import serving
from worker.monitoring.instruments import Instruments
from worker.monitoring.pages import routes
from worker.monitoring.terminal import MeteredTerminal
from worker.mt5.pool import MT5ConnectionPool
from worker.mt5.terminal import PooledTerminal
from worker.observability import ALERTS, Outage, configure_logging
from worker.pipeline.door import Door
from worker.pipeline.drive import Driver
from worker.pipeline.flow import Flow
from worker.pipeline.holding import Holding
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
from worker.ports import DeadLetter, RefusedMessage, Terminal
from worker.settings import LEASE_SECONDS, AccountMode, Backend, Settings, TerminalSession, worker_id

PREFETCH = 100  # fills a group commit while the one before it is written; bounds what huge messages may hold
SWITCH_SECONDS = 0.0005  # a terminal's thread that has an answer waits no longer than this for the busy loop
POLLS_IN_A_SILENCE = 3  # a poll may come as late as twice the interval after the last one
TOLD_BY_BROKER = frozenset({"delivery_limit", "expired", "unknown_account"})  # nobody has told the sender of these yet

_log = structlog.get_logger()


async def run(settings: Settings) -> int:
    """Be a worker, or a standby for one, until SIGTERM or SIGINT; returns the exit code."""
    configure_logging(settings.log_level, settings.log_format, settings.secrets, settings.account)
    failpoints.arm(settings.failpoints, settings.failpoints_log)
    sys.setswitchinterval(SWITCH_SECONDS)
    give_back_large_blocks()
    look_through_what_is_new()
    stop, monitoring = asyncio.Event(), _monitoring(settings)
    with _stopped_by_signals(stop), _served(settings, monitoring):
        beating = asyncio.create_task(monitoring.pulse.run(), name="pulse")
        try:
            await _prepare_rabbitmq(settings)
            while not stop.is_set():
                await _lead_once(settings, stop, monitoring)
        finally:
            await cancelled({beating})
    _log.info("worker_stopped", account=settings.account)
    return 0


async def _lead_once(settings: Settings, stop: asyncio.Event, monitoring: _Monitoring) -> None:
    """Wait for the lease and work until it is lost or the worker is stopped."""
    lost = asyncio.Event()
    ledger = await PostgresLedger.open(
        settings.need_postgres_url(),
        account=settings.account,
        worker_id=worker_id(),
        clock=SystemClock(),
        on_lease_lost=lost.set,
        meter=monitoring.meter,
    )
    if not await unless((stop,), ledger.lead(partial(_standing_by, ledger, monitoring.pulse))):
        await ledger.close(drain=False)
        return
    worker = Worker(settings, _parts(settings, ledger, monitoring.meter), lost)
    monitoring.pulse.follow(worker.vitals)
    try:
        await worker.work(stop)
    except LeaseLost as error:
        _log.error("lease_lost", detail=str(error), meaning="this worker sends nothing more; it stands by")


async def _prepare_rabbitmq(settings: Settings) -> None:
    """Declare the topology where this user may, else see that it is there."""
    async with connected(settings.need_amqp_url(), f"mt5-worker {settings.account} topology") as connection:
        problems = await declare(connection, topology([settings.account]))
    if problems:
        raise WrongSetting("\n".join(problems))


def _standing_by(ledger: PostgresLedger, pulse: Pulse, holder: str) -> None:
    pulse.follow(
        lambda: Vitals(
            missing=(f"standby of {holder}", *(["PostgreSQL does not answer"] if ledger.outage.is_on else [])),
            connected={"postgresql": not ledger.outage.is_on},
            reconnects={"postgresql": ledger.outage.reconnects},
        )
    )
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


@dataclass(frozen=True, slots=True)
class _Monitoring:
    """What is told of this process, whether it leads or stands by: by whom, and where it can be asked for."""

    pulse: Pulse
    meter: Instruments
    exposition: Exposition


def _monitoring(settings: Settings) -> _Monitoring:
    pulse, exposition = Pulse(Vitals(("the worker is starting",))), Exposition(settings.account)
    about = {"version": __version__, "backend": str(settings.mt5_backend)}
    exposition.register([Gauges(pulse, ALERTS.report, about)])
    return _Monitoring(pulse, Instruments(exposition.registry, SystemClock(), settings.max_slippage_pips), exposition)


def _served(settings: Settings, monitoring: _Monitoring) -> AbstractContextManager[object]:
    """Serve health and metrics for the length of a block, if the settings say so."""
    if not settings.http_port:
        return nullcontext()
    return serving(settings.http_host, settings.http_port, routes(monitoring.pulse, monitoring.exposition))


@dataclass(frozen=True, slots=True)
class _Stages:
    """The way of a trade, put together: what the lifecycle drives, and the door by which messages come in."""

    settler: Settler
    watch: Watch
    recovery: Recovery
    validator: Validator
    holding: Holding
    reconciler: Reconciler
    driver: Driver
    intake: Intake
    in_flight_changed: asyncio.Event


def _parts(settings: Settings, ledger: PostgresLedger, meter: Instruments) -> Parts:
    """Put a worker together: the terminal, the way of a trade, and what ties both to RabbitMQ."""
    refuser = Refuser(settings.account, worker_id(), SystemClock())
    pool = terminal_pool(settings, silence_limit=_silence_limit(settings), restarts_terminal=True)
    terminal = PooledTerminal(pool)
    stages = _stages(settings, ledger, MeteredTerminal(terminal, meter), refuser)
    outage = Outage("rabbitmq", "new trades wait in RabbitMQ, confirmations in the outbox; trades in flight go on")
    lifeline = partial(_lifeline, settings, outage)
    handlers = {approved_queue(settings.account): stages.intake.take}
    return Parts(
        ledger=ledger,
        terminal=terminal,
        settler=stages.settler,
        watch=stages.watch,
        recovery=stages.recovery,
        validator=stages.validator,
        holding=stages.holding,
        reconciler=stages.reconciler,
        driver=stages.driver,
        intake=stages.intake,
        consumer=Consumer(lifeline("consumer"), handlers, min(PREFETCH, settings.max_in_flight)),
        relay=Relay(lifeline("relay"), ledger.outbox, meter),
        ingester=Ingester(
            lifeline("dead letters"), ledger, partial(_tell, refuser), partial(publish_all, settings.need_amqp_url())
        ),
        in_flight_changed=stages.in_flight_changed,
        outage=outage,
    )


def _stages(settings: Settings, ledger: PostgresLedger, terminal: Terminal, refuser: Refuser) -> _Stages:
    """Put the way of a trade together, stage by stage."""
    clock, interval, in_flight_changed = SystemClock(), settings.poll_interval_seconds, asyncio.Event()
    settler = Settler(ledger, clock, worker_id())
    late = LateEvidence(ledger, settler)
    watch = Watch(terminal, clock, interval, ledger, late.take)
    searcher = Searcher(terminal, ledger, clock, interval)
    validator = Validator(ledger, terminal, clock, settings)
    runways = Runways(lambda symbol: terminal.sender_of(settings.broker_symbol(symbol)))
    throttle = Throttle(settings.order_limits)
    submitter = Submitter(ledger, terminal, clock, settings, settler, runways, throttle, watch)
    monitor = Monitor(ledger, terminal, clock, settings, settler, watch)
    reconciler = Reconciler(ledger, settler, searcher, watch, clock, settings)
    holding = Holding(ledger, clock, settings.limits)
    pause = settings.retry_backoff_seconds
    flow = Flow(validator, submitter, monitor, reconciler, settler, watch, late, runways, holding, pause)
    driver = Driver(flow, ledger, holding, in_flight_changed.set)
    door = Door(ledger, driver, validator, submitter, runways)
    return _Stages(
        settler=settler,
        watch=watch,
        recovery=Recovery(searcher, late, ledger, clock, throttle, 2 * settings.unknown_horizon_seconds),
        validator=validator,
        holding=holding,
        reconciler=reconciler,
        driver=driver,
        intake=Intake(ledger, clock, settings.account, refuser, door.admit),
        in_flight_changed=in_flight_changed,
    )


def _lifeline(settings: Settings, outage: Outage, part: str) -> Lifeline:
    name, wanted = f"mt5-worker {settings.account} {part}", topology([settings.account])
    return Lifeline(settings.need_amqp_url(), name, outage, wanted)


def _tell(refuser: Refuser, letter: DeadLetter) -> RefusedMessage | None:
    """Word the refusal for the sender of a message that never reached an intake."""
    if letter.reason not in TOLD_BY_BROKER:
        return None
    return refuser.tell(letter.message, letter.account, letter.reason, letter.detail)


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
