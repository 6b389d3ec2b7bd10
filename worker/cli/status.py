"""`status`: how the accounts stand, at a glance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live

from worker.cli.attention import Queues
from worker.cli.choices import AsJson, examples
from worker.cli.exits import finish
from worker.cli.glance import Picture, screen, told
from worker.cli.parts import ledger, rabbitmq, settings
from worker.cli.show import cell, console, print_json, print_json_line, words
from worker.clock import SystemClock
from worker.domain.errors import LedgerUnavailable, MessagingUnavailable
from worker.ledger.status import AccountStatus, accounts
from worker.ledger.status import status as account_status
from worker.messaging.inspection import QueueDepth, queue_depths
from worker.messaging.topology import topology
from worker.settings import Settings

app = typer.Typer()

_SECONDS = 2.0  # between two looks

Seen = Picture | LedgerUnavailable
Show = Callable[[Seen], None]


@app.command(
    epilog=examples("mt5-worker status", "mt5-worker status --watch", "mt5-worker status --watch 10 --account main")
)
def status(
    account: Annotated[str | None, typer.Option(help="Only this account.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again, until Ctrl-C.")] = False,
    seconds: Annotated[
        float | None,
        typer.Argument(
            min=0.1, max=3600, metavar="[SECONDS]", show_default="2", help="With --watch: between two looks."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """
    Show how each account stands: what needs a person, worker, terminal, trades, queues, dead letters, last errors.

    Open trades of any age are counted, and the newest 20,000 of the last 24 hours. The exit code is 0 whatever the
    picture shows, as long as it could be taken: `needs_you` of --json is empty when all is well.

    With --watch, --json prints one line for each account and look; an outage is shown and waited for.
    """
    if seconds is not None and not watch:
        raise typer.BadParameter("SECONDS says how often --watch looks again; without --watch it looks once")
    found = settings()
    if watch:
        with suppress(KeyboardInterrupt), _showing(as_lines=as_json) as show:
            finish(_watch(found, account, seconds or _SECONDS, show))
        return
    picture = finish(_look(found, account))
    if as_json:
        print_json(told(picture))
    else:
        console().print(screen(picture))


async def _watch(found: Settings, account: str | None, seconds: float, show: Show) -> None:
    while True:
        try:
            show(await _look(found, account))
        except LedgerUnavailable as error:
            show(error)
        await asyncio.sleep(seconds)


@contextmanager
def _showing(*, as_lines: bool) -> Iterator[Show]:
    """Yield what shows a look: on a terminal in the place of the one before, else below it."""
    if as_lines:
        yield _print_lines
    elif console().is_terminal:
        with Live(console=console(), auto_refresh=False) as live:
            yield lambda seen: live.update(_drawn(seen), refresh=True)
    else:
        yield lambda seen: console().print(_drawn(seen), "")


def _print_lines(seen: Seen) -> None:
    if isinstance(seen, LedgerUnavailable):
        print_json_line({"at": SystemClock().now(), "problem": str(seen)})
        return
    for one in told(seen):
        print_json_line(one)


def _drawn(seen: Seen) -> Group:
    """Return what is shown; without an answer nothing of an earlier one, which would look as if it were true now."""
    if isinstance(seen, LedgerUnavailable):
        return Group(cell(f"no answer at {words(SystemClock().now())} UTC, asking again: {seen}"))
    return screen(seen)


async def _look(found: Settings, account: str | None) -> Picture:
    async with ledger(found) as desk:
        names = await accounts(desk) if account is None else [account]
        standing: Sequence[AccountStatus] = [await account_status(desk, name) for name in names]
    return Picture(standing, await _queues(found, names))


async def _queues(found: Settings, names: Sequence[str]) -> Queues:
    if found.amqp_url is None:
        return None
    try:
        async with rabbitmq(found, "status") as connection:
            depths = await queue_depths(connection, [queue.name for queue in topology(names).queues])
    except MessagingUnavailable:
        return None
    return [depth for depth in depths if isinstance(depth, QueueDepth)]
