"""`status` as a person sees it: one screen, what needs him first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from worker.cli.attention import NAMED, Queues, halt_in_words, needs
from worker.cli.show import cell, duration, words
from worker.domain.execution import OPEN
from worker.ledger.status import MOST_COUNTED, AccountStatus
from worker.messaging.topology import account_of_queue

ERRORS_SHOWN = 3  # of those the worker remembers; `--json` has them all
_ERROR_CHARACTERS = 100
NEWEST_ONLY = f" (the newest {MOST_COUNTED} only)"

Fields = Iterator[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class Picture:
    """All accounts and queues at one moment."""

    accounts: Sequence[AccountStatus]
    queues: Queues

    def queues_of(self, account: str) -> Queues:
        """Return the queues that concern an account: its own, and those that all share."""
        if self.queues is None:
            return None
        return [queue for queue in self.queues if account_of_queue(queue.name) in {account, None}]


def told(picture: Picture) -> list[dict[str, Any]]:
    """Return one object for each account."""
    return [_account_as_json(one, picture.queues_of(one.account)) for one in picture.accounts]


def screen(picture: Picture) -> Group:
    """Return what is shown on a terminal of 80 columns."""
    if not picture.accounts:
        return Group(Text("no account: no worker has run on this ledger yet"))
    return Group(*(part for one in picture.accounts for part in _account(one, picture.queues_of(one.account))))


def _account_as_json(one: AccountStatus, queues: Queues) -> dict[str, Any]:
    halts = [asdict(halt) for halt in one.halts]
    return {
        "account": one.account,
        "needs_you": [asdict(need) for need in needs(one, queues)],
        "is_led": one.is_led,
        "halt": one.halt,
        **asdict(one),
        "halts": halts,
        "queues": None if queues is None else [asdict(queue) for queue in queues],
    }


def _account(one: AccountStatus, queues: Queues) -> Iterator[Text | Table]:
    yield cell(f"account {one.account} at {words(one.at)} UTC")
    yield from _attention(one, queues)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in (*_who(one), *_trades(one), *_mail(one, queues), *_errors(one.worker_report)):
        grid.add_row(cell(name), cell(value))
    yield grid


def _attention(one: AccountStatus, queues: Queues) -> Iterator[Text]:
    needed = needs(one, queues)
    if not needed:
        yield Text("nothing needs you", style="bold green")
    for need in needed:
        yield Text.assemble(("needs you: ", "bold red"), cell(need.what))
        yield Text.assemble("  -> ", cell(need.do))


def _who(one: AccountStatus) -> Fields:
    report = one.worker_report
    if one.backend is not None:
        yield "broker", f"{one.backend}, {one.server}, login {one.login}"
    yield "trading", "; ".join(map(halt_in_words, one.halts)) or "on"
    if one.lease_age_seconds is None:
        yield "worker", f"none; {one.standbys} stand by" if one.standbys else "none"
        return
    since = f", leads since {str(report['leads_since'])[:19]} UTC" if report.get("leads_since") else ""
    yield "worker", f"{one.lease_holder}, version {report.get('version', 'unknown')}{since}"
    silent = "" if one.is_led else ": SILENT, and what it reported is as old"
    yield "lease", f"{one.lease_epoch}, renewed {duration(one.lease_age_seconds)} ago{silent}; standbys: {one.standbys}"
    for name, session in report.get("terminal", {}).items():
        yield f"terminal {name}", _terminal(session)
    if report.get("limits"):
        yield "limits", _counts(report["limits"])


def _trades(one: AccountStatus) -> Fields:
    report = one.worker_report
    age = "" if one.oldest_open_at is None else f"; the oldest came {duration(_seconds(one))} ago"
    yield "in flight", _counts({name: n for name, n in one.executions_by_state.items() if name in OPEN}) + age
    waiting: Mapping[str, str] = report.get("waiting_for_terminal", {})
    if waiting:
        yield "waiting", f"{len(waiting)} for the terminal: {'; '.join(sorted(set(waiting.values()))[:NAMED])}"
    if report.get("held"):
        yield "held", f"by a halt: {_counts(report['held'])}"
    if one.unresolved:
        yield "unresolved", "\n".join(f"{line.execution_id} {line.symbol}" for line in one.unresolved[:NAMED])
    ended = {name: n for name, n in one.executions_by_state.items() if name not in OPEN}
    yield "last 24 h", f"{_counts(ended)}{NEWEST_ONLY if sum(ended.values()) >= MOST_COUNTED else ''}"


def _mail(one: AccountStatus, queues: Queues) -> Fields:
    yield "dead letters", _counts(one.dead_letters_by_reason)
    age = "" if one.outbox_age_seconds is None else f", the oldest for {duration(one.outbox_age_seconds)}"
    yield "outbox", f"{one.outbox_size} waiting{age}"
    if queues is None:
        yield "queues", "RabbitMQ does not answer"
        return
    consumers = next((queue.consumers for queue in queues if account_of_queue(queue.name) == one.account), 0)
    yield "queues", _counts({queue.name: queue.messages for queue in queues}) + f"; consumers of trades: {consumers}"


def _errors(report: Mapping[str, Any]) -> Fields:
    if report.get("alerts"):
        yield "alerts", f"{_counts(report['alerts'])} since this worker began"
    last = report.get("last_errors", [])[-ERRORS_SHOWN:]
    for number, error in enumerate(reversed(last)):
        line = f"{str(error.get('at'))[:19]} {error.get('event')}: {error.get('detail')}"
        yield "" if number else "last errors", line[:_ERROR_CHARACTERS]


def _terminal(session: Mapping[str, Any]) -> str:
    # A single terminal does everything; only of several is it worth saying what each does.
    duty = {"answers": ", answers questions", "sends": ", sends orders"}.get(session.get("duty", ""), "")
    return f"{session.get('state')}{duty}{': ' + session['problem'] if session.get('problem') else ''}"


def _counts(counts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _seconds(one: AccountStatus) -> float:
    return max(0.0, (one.at - (one.oldest_open_at or one.at)).total_seconds())
