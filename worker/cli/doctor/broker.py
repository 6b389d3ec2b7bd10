"""`doctor --broker`: a canary that is flown on purpose, and what is known from earlier ones."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import typer

from worker import bootstrap
from worker.cli.doctor import measured
from worker.cli.doctor.finding import Finding, Verdict
from worker.cli.doctor.terminal import PATIENCE_SECONDS, led_account
from worker.cli.exits import complain, finish
from worker.cli.parts import ledger
from worker.domain.broker_facts import BrokerFacts
from worker.domain.errors import Refused, SchemaMismatch, ServiceUnavailable, WorkerError, WrongSetting
from worker.ledger.broker_facts import insist_on_no_leader, of_account, store
from worker.mt5.canary.flight import Flight
from worker.mt5.canary.measure import facts_of
from worker.mt5.canary.plan import LIQUID, Plan, prepare
from worker.mt5.session import TerminalSession
from worker.mt5.wire import VenueFacts
from worker.settings import Backend, Settings


def measure(
    found: Settings, *, symbol: str | None, live: bool, yes: bool, by: str
) -> tuple[BrokerFacts, Sequence[Finding]]:
    """Fly a canary after asking, store what it measured, and return it with what is to be said about it."""
    found.need_backend()
    _insist_on_no_worker(found)
    names = (symbol,) if symbol else LIQUID
    symbols = tuple(found.broker_symbol(name) for name in names)
    # Under the worker's own name, so that the terminal is this command's alone as long as it lasts.
    with bootstrap.terminal_pool(found) as pool:
        session = pool.session(PATIENCE_SECONDS)
        venue = session.ready(PATIENCE_SECONDS)
        plan = prepare(session, venue, symbols, timedelta(seconds=found.max_tick_age_seconds), live=live)
        if yes:
            complain(plan.words)
        else:
            typer.confirm(f"{plan.words}. Go on?", abort=True, err=True)
        facts = _fly(found, session, venue, plan)
    return facts, [*measured.findings(facts, found.unknown_horizon_seconds), _stored(found, facts, by)]


async def canaries(found: Settings) -> AsyncIterator[Finding]:
    """Tell what earlier canaries of this account have measured; silent where there is no ledger to remember it."""
    try:
        async with ledger(found) as desk:
            known = await of_account(desk, found.account)
    except (WrongSetting, SchemaMismatch, ServiceUnavailable, Refused):
        return
    newest = max((facts.measured_at for facts in known), default=None)
    for facts in known:
        yield measured.remembered(facts, datetime.now(UTC), is_newest=facts.measured_at == newest)
    if not known and found.mt5_backend is Backend.NATIVE:
        todo = "run `mt5-worker doctor --broker` on a demo account of this broker"
        yield Finding("canary", Verdict.WARN, "none has been flown on this account: the broker is not measured", todo)


def _insist_on_no_worker(found: Settings) -> None:
    leader = finish(led_account(found))
    if leader is not None:
        raise Refused(
            f"worker {leader.lease_holder} leads account {found.account} and trades on it: stop it first. Nothing was "
            "sent"
        )


def _fly(found: Settings, session: TerminalSession, venue: VenueFacts, plan: Plan) -> BrokerFacts:
    if found.postgres_url is not None:
        finish(_insist_on_no_leader(found, venue))
    with _uninterrupted():
        return facts_of(plan, Flight(session, plan).fly())


async def _insist_on_no_leader(found: Settings, venue: VenueFacts) -> None:
    async with ledger(found) as desk:
        await insist_on_no_leader(desk, venue.venue.server, venue.venue.login)


def _stored(found: Settings, facts: BrokerFacts, by: str) -> Finding:
    if found.postgres_url is None:
        return Finding("stored", Verdict.OK, "no: POSTGRES_URL is not set, so only this output remembers it")
    try:
        finish(_store(found, facts, by))
    except WorkerError as error:
        return Finding("stored", Verdict.FAIL, f"no: {error}", "cure that and fly the canary again")
    return Finding("stored", Verdict.OK, "the worker reads it at its next start; `mt5-worker doctor` shows it")


async def _store(found: Settings, facts: BrokerFacts, by: str) -> None:
    async with ledger(found) as desk:
        await store(desk, facts, account=found.account, by=by)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let nobody interrupt a flight: what has been opened is closed first, which takes seconds."""

    def wait(*_: object) -> None:
        complain("the canary is being closed; this ends by itself")

    before = {number: signal.signal(number, wait) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
