"""`confirmations`: listen in, and send again."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Annotated, Any

import typer

from worker.cli.choices import AsJson, By, Yes, examples, read_moment
from worker.cli.exits import ExitCode, complain, finish
from worker.cli.parts import ledger, settings
from worker.cli.show import cell, console, words
from worker.domain.message import IncomingMessage
from worker.ledger import operators
from worker.messaging.inspection import listen
from worker.settings import Settings

app = typer.Typer(name="confirmations", invoke_without_command=True)


@app.callback(epilog=examples("mt5-worker confirmations", "mt5-worker confirmations --json --count 1 --timeout 30"))
def follow(
    ctx: typer.Context,
    as_json: AsJson = False,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="End after so many seconds.")] = None,
    follow: Annotated[bool, typer.Option("--follow", hidden=True)] = True,  # noqa: ARG001 - what the command does anyway
) -> None:
    """
    Show confirmations as they are published from now on, until Ctrl-C; with --json one object a line.

    A line on stderr says when it listens: what is published before that is not shown.
    Exit code 1 when the time is over before --count has come.
    """
    if ctx.invoked_subcommand is not None:
        return
    seen = 0
    with suppress(KeyboardInterrupt):
        seen = finish(_follow(listen(settings().need_amqp_url(), on_ready=_ready), count, timeout, as_json=as_json))
    if timeout is not None and count is not None and seen < count:
        complain(f"{seen} of {count} confirmations came within {timeout:g} s")
        raise typer.Exit(ExitCode.FAILED)


@app.command(epilog=examples("mt5-worker confirmations republish --from 2026-03-02T09:00 --to 2026-03-02T10:00"))
def republish(
    by: By,
    since: Annotated[
        datetime,
        typer.Option("--from", parser=read_moment, metavar="TIME", help="ISO 8601; UTC unless it says otherwise."),
    ],
    until: Annotated[
        datetime, typer.Option("--to", parser=read_moment, metavar="TIME", help="The first moment that is too late.")
    ],
    yes: Yes = False,
) -> None:
    """Publish every confirmation of the account that was made in a time window again, byte for byte."""
    found = settings()
    count = finish(_count(found, since, until))
    said = f"{count} confirmations of account {found.account} made from {words(since)} to {words(until)} UTC"
    if count and not yes:
        typer.confirm(f"{said} will be published again. Go on?", abort=True, err=True)
    queued = finish(_republish(found, since, until, by)) if count else 0
    sys.stdout.write(
        f"{queued} confirmations are queued; the worker publishes them\n" if queued else f"{said}: nothing to do\n"
    )


async def _count(found: Settings, since: datetime, until: datetime) -> int:
    async with ledger(found) as desk:
        return await operators.confirmations_made(desk, found.account, since, until)


async def _republish(found: Settings, since: datetime, until: datetime, by: str) -> int:
    async with ledger(found) as desk:
        return await operators.republish(desk, found.account, since, until, by=by)


def _ready() -> None:
    sys.stderr.write("listening; what is published from now on is shown\n")


async def _follow(
    confirmations: AsyncGenerator[IncomingMessage, None], count: int | None, seconds: float | None, *, as_json: bool
) -> int:
    seen = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), aclosing(confirmations):
            async for message in confirmations:
                _show(message, as_json=as_json)
                seen += 1
                if seen == count:
                    break
    return seen


def _show(message: IncomingMessage, *, as_json: bool) -> None:
    text = message.body.decode("utf-8", "backslashreplace")
    if as_json:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    else:
        console().print(cell(_line(text)), soft_wrap=True)


def _line(text: str) -> str:
    try:
        return _told(json.loads(text))
    except (ValueError, TypeError, KeyError):
        return f"not a confirmation: {text}"  # whoever may write to the exchange can publish anything


def _told(told: dict[str, Any]) -> str:
    side = {1: "buy", -1: "sell"}.get(told["direction"], "?")
    outcome = told["status"] if told["rejection_reason"] is None else f"{told['status']} ({told['rejection_reason']})"
    price = "" if told["fill_price"] is None else f" at {told['fill_price']}"
    size = f"{told['executed_units'] or 0} of {told['intended_units'] or 0}"
    return f"{told['timestamp']} {told['symbol'] or '_'} {side} {size}: {outcome}{price}  {told['trade_id'] or '-'}"
