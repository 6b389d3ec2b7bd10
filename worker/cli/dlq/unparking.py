"""`dlq unpark`: dead letters that the ledger refused once are tried again."""

from __future__ import annotations

import sys

import typer

from worker.cli.choices import By, Yes, examples
from worker.cli.dlq.plans import counted, progress
from worker.cli.exits import finish
from worker.cli.parts import rabbitmq, settings
from worker.domain.errors import MessagingUnavailable
from worker.messaging.inspection import QueueDepth, queue_depths
from worker.messaging.parking import unpark as bring_back
from worker.messaging.topology import TRADES_PARKED
from worker.settings import Settings

app = typer.Typer()


@app.command(epilog=examples("mt5-worker dlq unpark", "mt5-worker dlq unpark --yes"))
def unpark(by: By, yes: Yes = False) -> None:
    """
    Bring parked dead letters back to where the worker takes dead letters in.

    A dead letter that the ledger refuses for what it is waits in the queue `trades.parked`; the worker's alert
    `dead_letter_parked` says why. Remove the cause first: what is refused again is parked again.

    The audit event of each letter's taking in names who brought it back.
    """
    found = settings()
    waiting = finish(_waiting(found))
    if not waiting:
        sys.stdout.write("no dead letter is parked: nothing to do\n")
        return
    if not yes:
        typer.confirm(f"{counted(waiting)} will be handed to the worker again. Go on?", abort=True, err=True)
    sys.stdout.write(f"{counted(finish(_bring_back(found, waiting, by)))} handed to the worker again\n")


async def _waiting(found: Settings) -> int:
    async with rabbitmq(found, "dlq unpark") as connection:
        [depth] = await queue_depths(connection, [TRADES_PARKED])
        if isinstance(depth, QueueDepth):
            return depth.messages
        raise MessagingUnavailable(f"queue {depth} is missing or closed to this user: `mt5-worker topology check`")


async def _bring_back(found: Settings, count: int, by: str) -> int:
    async with rabbitmq(found, "dlq unpark") as connection:
        with progress("unparked") as on_progress:
            return await bring_back(connection, count, by, on_progress)
