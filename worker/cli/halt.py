"""`halt` and `resume`: whether the account may trade."""

from __future__ import annotations

import sys

import typer

from worker.cli.choices import AlreadyAsked, By, Reason, examples
from worker.cli.exits import finish
from worker.cli.parts import ledger, settings
from worker.ledger import operators
from worker.settings import Settings

app = typer.Typer()


@app.command(epilog=examples('mt5-worker halt --reason "unexpected fills"'))
def halt(by: By, reason: Reason, yes: AlreadyAsked = False) -> None:  # noqa: ARG001 - halting never asks
    """
    Stop sending: from now on every new trade of the account is confirmed as rejected, `trading_halted`.

    Orders that are at the broker already go on. The halt outlives the worker; `resume` ends it.
    """
    found = settings()
    finish(_halt(found, reason, by))
    sys.stdout.write(f"account {found.account} is halted: nothing new is sent until `mt5-worker resume`\n")


@app.command(epilog=examples('mt5-worker resume --reason "the feed is fine again"'))
def resume(by: By, reason: Reason, yes: AlreadyAsked = False) -> None:  # noqa: ARG001 - resuming never asks
    """Let the account trade again. Trades that came during the halt are not sent: they have been confirmed."""
    found = settings()
    was_halted = finish(_resume(found, reason, by))
    said = "trades again" if was_halted else "was not halted"
    sys.stdout.write(f"account {found.account} {said}\n")


async def _halt(found: Settings, reason: str, by: str) -> None:
    async with ledger(found) as desk:
        await operators.halt(desk, found.account, reason=reason, by=by)


async def _resume(found: Settings, reason: str, by: str) -> bool:
    async with ledger(found) as desk:
        return await operators.resume(desk, found.account, reason=reason, by=by)
