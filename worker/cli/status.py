"""`status`: how the accounts stand, at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import typer

from worker.cli.choices import AsJson, examples
from worker.cli.exits import finish
from worker.cli.parts import ledger, rabbitmq, settings
from worker.cli.show import print_fields, print_json, shortened, words
from worker.domain.errors import MessagingUnavailable
from worker.ledger.status import AccountStatus, accounts
from worker.ledger.status import status as account_status
from worker.messaging.inspection import QueueDepth, queue_depths
from worker.messaging.topology import TRADES_DEAD, TRADES_UNROUTABLE, approved_queue
from worker.settings import Settings

app = typer.Typer()

Queues = Sequence[QueueDepth | str] | None  # None: RabbitMQ does not answer


@app.command(epilog=examples("mt5-worker status", "mt5-worker status --json"))
def status(as_json: AsJson = False) -> None:
    """Show how each account stands: worker, halt, open and unresolved trades, dead letters, what waits where."""
    found = settings()
    standing = finish(_accounts(found))
    queues = {one.account: finish(_queues(found, one.account)) for one in standing}
    if as_json:
        print_json([_as_json(one, queues[one.account]) for one in standing])
        return
    for one in standing:
        print_fields(_as_fields(one, queues[one.account]))
    if not standing:
        print_fields({"accounts": "none: no worker has run on this ledger yet"})


async def _accounts(found: Settings) -> list[AccountStatus]:
    async with ledger(found) as desk:
        return [await account_status(desk, name) for name in await accounts(desk)]


async def _queues(found: Settings, account: str) -> Queues:
    if found.amqp_url is None:
        return None
    try:
        async with rabbitmq(found, "status") as connection:
            return await queue_depths(connection, [approved_queue(account), TRADES_DEAD, TRADES_UNROUTABLE])
    except MessagingUnavailable:
        return None


def _as_json(one: AccountStatus, queues: Queues) -> dict[str, Any]:
    known = None if queues is None else [asdict(queue) for queue in queues if isinstance(queue, QueueDepth)]
    return asdict(one) | {"queues": known}


def _as_fields(one: AccountStatus, queues: Queues) -> dict[str, object]:
    report = one.worker_report
    return {
        "account": one.account,
        "trading": one.halt or "on",
        "broker": None if one.backend is None else f"{one.backend}, {one.server}, login {one.login}",
        "worker": _worker(one),
        "executions": _counts(one.executions_by_state),
        "oldest open": one.oldest_open_at and f"{words(one.oldest_open_at)} UTC",
        "alerts": _counts(report.get("alerts", {})),
        **_waiting(report.get("waiting_for_terminal", {})),
        **{
            f"unresolved {shortened(line.trade_id)}": line.detail or "its order may stand at the broker"
            for line in one.unresolved
        },
        **{f"terminal {name}": _terminal(session) for name, session in report.get("terminal", {}).items()},
        "outbox": _outbox(one),
        "dead letters": _counts(one.dead_letters_by_reason),
        **_queue_fields(queues),
    }


def _worker(one: AccountStatus) -> str:
    if one.lease_holder is None or one.lease_age_seconds is None:
        return "none: trades wait in RabbitMQ"
    return f"{one.lease_holder}, seen {one.lease_age_seconds:.1f} s ago, lease {one.lease_epoch}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _waiting(waiting: Mapping[str, str]) -> dict[str, object]:
    return {f"waiting {execution_id}": why for execution_id, why in waiting.items()}


def _terminal(session: Mapping[str, Any]) -> str:
    # A single terminal does everything; only of several is it worth saying what each does.
    duty = {"answers": ", answers questions", "sends": ", sends orders"}.get(session.get("duty", ""), "")
    return f"{session.get('state')}{duty}{': ' + session['problem'] if session.get('problem') else ''}"


def _outbox(one: AccountStatus) -> str:
    age = "" if one.outbox_age_seconds is None else f", the oldest for {one.outbox_age_seconds:.1f} s"
    return f"{one.outbox_size} waiting{age}"


def _queue_fields(queues: Queues) -> dict[str, object]:
    if queues is None:
        return {"queues": "RabbitMQ does not answer"}
    return {
        f"queue {queue.name}": f"{queue.messages} ready, {queue.consumers} consumers"
        for queue in queues
        if isinstance(queue, QueueDepth)
    }
