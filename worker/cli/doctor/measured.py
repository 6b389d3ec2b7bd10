"""What a canary's measurements mean, line by line; the runbook `canary.md` explains each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from worker.cli.doctor.finding import Finding, Verdict, judged
from worker.domain.broker_facts import BrokerFacts, Kept, StoredFacts
from worker.domain.instrument import plain
from worker.domain.outcomes import judge_retcode
from worker.domain.token import COMMENT_LENGTH

CLOCK_TOLERATED = 5.0  # seconds between the deal's own time and the measured clock: a history window begins so early
_FILLINGS = {0: "fill or kill", 1: "immediate or cancel", 2: "return"}
_FLAGS = {1: "fill or kill", 2: "immediate or cancel", 4: "book or cancel"}
_EXECUTIONS = ("request", "instant", "market", "exchange")
_RUNBOOK = "see ops/runbooks/canary.md"


def findings(facts: BrokerFacts, horizon: float) -> Iterator[Finding]:
    """Say what was measured; `horizon` (s) is how long the worker waits before it takes nothing for an answer."""
    venue = facts.venue
    where = f"login {venue.login} at {venue.server}, {venue.mode}, {facts.account_mode}, terminal {facts.version}"
    yield Finding("canary", Verdict.OK, f"{where}: {plain(facts.lots)} lots of {facts.symbol}, opened and closed again")
    yield _magic(facts)
    yield _comment(facts)
    yield _lag(facts, horizon)
    yield _clock(facts)
    yield Finding("execution mode", Verdict.OK, _named(dict(enumerate(_EXECUTIONS)), facts.execution_mode))
    yield _fillings(facts)
    yield _order_check(facts)
    yield Finding("history_deals_get(ticket=)", Verdict.OK, f"takes the ticket of: {facts.deals_by_ticket}")
    late = ", some of it later than the deal itself" if facts.commission_came_later else ""
    yield Finding("commission", Verdict.OK, f"{plain(facts.commission)} in the account's currency for both deals{late}")
    calls = ", ".join(f"{name} {milliseconds:g}" for name, milliseconds in sorted(facts.latencies.items()))
    yield Finding("latency (ms)", Verdict.OK, calls)


def remembered(facts: StoredFacts, now: datetime, *, is_newest: bool = True) -> Finding:
    """Say what the last canary of a symbol has found, and how long ago; the newest of all decides about `run`."""
    detail = (
        f"{facts.symbol} at {facts.server}, login {facts.login}, {_ago(now - facts.measured_at)} "
        f"({facts.measured_at:%Y-%m-%d %H:%M} UTC, by {facts.measured_by}): magic {_kept(facts.keeps_magic)}, "
        f"comment {_kept(facts.keeps_comment)}, history within {facts.history_lag:g} s"
    )
    if not facts.keeps_magic and is_newest:
        return Finding("canary", Verdict.FAIL, detail, f"`run` does not start on this broker; {_RUNBOOK}")
    if not facts.keeps_magic:
        return Finding("canary", Verdict.WARN, detail, f"fly one on this symbol before it is traded; {_RUNBOOK}")
    return Finding("canary", Verdict.OK, detail)


def _magic(facts: BrokerFacts) -> Finding:
    lost = [name for name, kept in _records(facts).items() if not kept.magic]
    detail = f"lost or changed on: {', '.join(lost)}" if lost else "kept on order, deal and position"
    todo = f"the worker cannot tell its trades there and does not start; {_RUNBOOK}"
    if facts.keeps_magic and lost:
        return Finding("magic", Verdict.WARN, detail, f"order and deal tell whose trade it is; {_RUNBOOK}")
    return judged("magic", facts.keeps_magic, detail, todo)


def _comment(facts: BrokerFacts) -> Finding:
    kept = ", ".join(f"{name} {kept.comment}" for name, kept in _records(facts).items())
    detail = f"characters kept of {facts.comment_sent}: {kept}; a token takes {COMMENT_LENGTH}"
    return judged(
        "comment", facts.keeps_comment, detail, f"the magic alone tells trades apart; {_RUNBOOK}", Verdict.WARN
    )


def _lag(facts: BrokerFacts, horizon: float) -> Finding:
    lags = facts.lags
    detail = (
        f"seconds after the answer: order {lags.order:g}, deal {lags.deal:g}, position {lags.position:g}, "
        f"all of the closing {lags.closing:g}; no absence is proved by looks closer together than {lags.longest:g} s"
    )
    return judged(
        "history lag", lags.longest <= horizon, detail, "set UNKNOWN_HORIZON_SECONDS above the longest", Verdict.WARN
    )


def _clock(facts: BrokerFacts) -> Finding:
    detail = (
        f"UTC {facts.clock_offset / 3600:+g} h by price changes that agree; the deal's own time lies "
        f"{facts.clock_error:+.3f} s from the send"
    )
    good = abs(facts.clock_error) <= CLOCK_TOLERATED
    todo = "let this machine follow a time server; a broker that executes late also shows here"
    return judged("server clock", good, detail, todo, Verdict.WARN)


def _fillings(facts: BrokerFacts) -> Finding:
    taken = [_named(_FILLINGS, filling) for filling, code in facts.checks.items() if code == 0]
    refused = [f"{_named(_FILLINGS, filling)} ({code})" for filling, code in facts.checks.items() if code != 0]
    flags = [name for flag, name in _FLAGS.items() if facts.filling_flags & flag]
    parts = {"order_check accepts": taken, "refuses": refused, "the symbol's flags name": flags}
    return Finding(
        "filling modes", Verdict.OK, "; ".join(f"{said} {', '.join(of) or 'none'}" for said, of in parts.items())
    )


def _order_check(facts: BrokerFacts) -> Finding:
    if facts.retcode is None:
        detail = "accepted it; order_send gave no answer, and the order was executed all the same"
        return Finding("order_check", Verdict.WARN, detail, "look at the connection between terminal and broker")
    return Finding(
        "order_check", Verdict.OK, f"accepted it, and order_send agreed: {judge_retcode(facts.retcode).detail}"
    )


def _records(facts: BrokerFacts) -> Mapping[str, Kept]:
    return {"order": facts.order, "deal": facts.deal, "position": facts.position}


def _named(names: Mapping[int, str], number: int) -> str:
    return names.get(number, f"unknown ({number})")


def _kept(kept: bool) -> str:
    return "kept" if kept else "LOST"


def _ago(age: timedelta) -> str:
    if age < timedelta(hours=2):
        return f"{age.total_seconds() / 60:.0f} min ago"
    return f"{age.days} days ago" if age.days > 1 else f"{age.total_seconds() / 3600:.0f} h ago"
