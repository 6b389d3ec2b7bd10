"""What of an account's standing needs a person, the most urgent first, and the command to begin with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from worker.cli.show import duration, shortened
from worker.domain.halts import Halt
from worker.ledger.status import AccountStatus
from worker.messaging.inspection import QueueDepth
from worker.messaging.topology import TRADES_PARKED

NAMED = 3  # unresolved trades; `executions list` has them all
OUTBOX_SECONDS = 60.0  # what waits longer than that is not on its way any more

Queues = Sequence[QueueDepth] | None  # None: RabbitMQ does not answer


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a person has to see to."""

    what: str
    do: str


def needs(one: AccountStatus, queues: Queues) -> list[Need]:
    """Return what needs a person; nothing when all is well."""
    return [*_unresolved(one), *_worker(one), *_halts(one), *_terminals(one), *_letters(one), *_messages(one, queues)]


def _unresolved(one: AccountStatus) -> Iterator[Need]:
    for line in one.unresolved[:NAMED]:
        trade = f"{shortened(line.trade_id)} of {line.symbol}"
        what = f"unresolved: trade {trade} may or may not have an order at the broker"
        yield Need(what, f"mt5-worker executions show {line.execution_id}")
    more = len(one.unresolved) - NAMED
    if more > 0:
        yield Need(f"{more} more trades are unresolved", "mt5-worker executions list --status unresolved")


def _worker(one: AccountStatus) -> Iterator[Need]:
    if one.lease_age_seconds is None:
        yield Need(f"no worker leads account {one.account}: its trades wait in RabbitMQ", "mt5-worker run")
    elif not one.is_led:
        silent = f"worker {one.lease_holder} is silent for {duration(one.lease_age_seconds)}"
        yield Need(f"{silent}: what it has reported is as old", "look at its machine, or start another: mt5-worker run")


def _halts(one: AccountStatus) -> Iterator[Need]:
    for halt in one.halts:
        symbol = "" if halt.symbol is None else f" --symbol {quote(halt.symbol)}"
        yield Need(halt_in_words(halt), f"mt5-worker resume{symbol} --reason WHY")


def halt_in_words(halt: Halt) -> str:
    """Say what is halted, by whom, since when, and what becomes of its trades."""
    meaning = "its trades wait" if halt.hold else "its trades are rejected"
    whose = "the account" if halt.symbol is None else halt.symbol
    return f"{whose} is halted by {halt.by}: {halt.reason} (since {halt.at:%Y-%m-%d %H:%M} UTC; {meaning})"


def _terminals(one: AccountStatus) -> Iterator[Need]:
    if one.is_led:
        for name, session in one.worker_report.get("terminal", {}).items():
            if session.get("problem"):
                yield Need(f"terminal {name} cannot trade: {session['problem']}", "mt5-worker doctor")


def _letters(one: AccountStatus) -> Iterator[Need]:
    count = sum(one.dead_letters_by_reason.values())
    if count:
        yield Need(f"dead letters: {count}", "mt5-worker dlq groups")


def _messages(one: AccountStatus, queues: Queues) -> Iterator[Need]:
    if queues is None:
        yield Need("RabbitMQ does not answer: no trade comes in, no confirmation leaves", "mt5-worker doctor")
    if (one.outbox_age_seconds or 0) > OUTBOX_SECONDS:
        waiting = f"{one.outbox_size} messages wait to be published, since {duration(one.outbox_age_seconds or 0)}"
        yield Need(waiting, "mt5-worker doctor")
    for queue in queues or ():
        if queue.name == TRADES_PARKED and queue.messages:
            yield Need(f"{queue.messages} messages could not be taken in: they are parked", "mt5-worker dlq unpark")
