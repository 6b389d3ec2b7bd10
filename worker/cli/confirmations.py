"""`confirmations`: listen in, and send again."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated, Any

import typer

from worker.cli._parts import settings
from worker.cli.choices import AsJson, examples
from worker.cli.exits import ExitCode, complain, finish
from worker.cli.show import cell, console
from worker.domain.message import IncomingMessage
from worker.messaging.inspection import listen

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

    Exit code 1 when the time is over before --count has come.
    """
    if ctx.invoked_subcommand is not None:
        return
    seen = 0
    with suppress(KeyboardInterrupt):
        seen = finish(_follow(listen(settings().need_amqp_url()), count, timeout, as_json=as_json))
    if timeout is not None and count is not None and seen < count:
        complain(f"{seen} of {count} confirmations came within {timeout:g} s")
        raise typer.Exit(ExitCode.FAILED)


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
    if as_json:
        sys.stdout.write(message.body.decode() + "\n")
        sys.stdout.flush()
    else:
        console().print(cell(_line(json.loads(message.body))), soft_wrap=True)


def _line(told: dict[str, Any]) -> str:
    side = {1: "buy", -1: "sell"}.get(told["direction"], "?")
    outcome = told["status"] if told["rejection_reason"] is None else f"{told['status']} ({told['rejection_reason']})"
    price = "" if told["fill_price"] is None else f" at {told['fill_price']}"
    size = f"{told['executed_units'] or 0} of {told['intended_units'] or 0}"
    return f"{told['timestamp']} {told['symbol'] or '_'} {side} {size}: {outcome}{price}  {told['trade_id'] or '-'}"
