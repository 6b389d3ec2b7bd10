"""What `doctor` asks the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from worker import bootstrap
from worker.cli.doctor.finding import Finding, Verdict, judged, unusable
from worker.cli.parts import ledger
from worker.domain.errors import NotFound, SchemaMismatch, ServiceUnavailable, WrongSetting
from worker.domain.market import Health
from worker.ledger.status import AccountStatus, status
from worker.mt5.account import insist_on_one_account
from worker.mt5.wire import VenueFacts
from worker.settings import LEASE_SECONDS, Settings
from worker.venue import insist_on_account_mode

PATIENCE_SECONDS = 30.0  # for the terminal to open


async def terminal(settings: Settings) -> AsyncIterator[Finding]:
    """Look at the terminal: with the eyes of the account's worker when one is running, else by opening it."""
    try:
        settings.need_backend()
        account = await led_account(settings)
        if account is not None:
            yield _reported(account)
            return
        opened = await asyncio.to_thread(_open, settings)
        for name, (facts, health) in opened.items():
            for finding in _opened(facts, health, "terminal" if len(opened) == 1 else f"terminal {name}"):
                yield finding
            insist_on_account_mode(settings, facts)
        insist_on_one_account({name: facts for name, (facts, _) in opened.items()})
    except (WrongSetting, ServiceUnavailable) as error:
        yield unusable("terminal", error, "start the terminal and log in, or correct the settings MT5_...")


def _open(settings: Settings) -> dict[str, tuple[VenueFacts, Health]]:
    """Open every terminal of the account, by its session's name."""
    with bootstrap.terminal_pool(settings, "doctor") as pool:
        pool.start()
        sessions = zip(settings.terminal_sessions, pool.sessions.values(), strict=True)
        return {name: (session.ready(PATIENCE_SECONDS), session.health()) for name, session in sessions}


def _opened(facts: VenueFacts, health: Health, check: str = "terminal") -> Iterator[Finding]:
    venue = facts.venue
    where = f"login {venue.login} at {venue.server}, {venue.mode}, {facts.account_mode}"
    yield Finding(check, Verdict.OK, f"{venue.backend} {facts.version}: {where}")
    yield judged(
        f"{check} trading",
        health.problem is None,
        health.problem or "orders can be sent",
        "until that is changed nothing is sent: trades wait, then expire",
    )
    yield judged(
        f"{check} clock",
        facts.clock_offset_known,
        "the server's offset is known" if facts.clock_offset_known else "no price has moved yet",
        "look again when a market is open: until a price moves, every tick counts as stale",
        Verdict.WARN,
    )


async def led_account(settings: Settings) -> AccountStatus | None:
    """Return the account when a worker leads it now: it has the terminal, which takes one process at a time."""
    try:
        async with ledger(settings) as desk:
            account = await status(desk, settings.account)
    except (NotFound, WrongSetting, SchemaMismatch, ServiceUnavailable):
        return None
    age = account.lease_age_seconds
    return account if account.lease_holder and age is not None and age <= LEASE_SECONDS else None


def _reported(account: AccountStatus) -> Finding:
    sessions = account.worker_report.get("terminal", {})
    problems = [f"{name}: {report['problem']}" for name, report in sessions.items() if report.get("problem")]
    detail = f"in use by worker {account.lease_holder}: {'; '.join(problems) or 'ready'}"
    return judged("terminal", not problems, detail, "see the worker's log")
