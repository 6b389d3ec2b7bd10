"""`executions`: what became of trades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from worker.cli.choices import AsJson, Limit, examples, rows
from worker.cli.exits import finish
from worker.cli.parts import ledger, settings
from worker.cli.show import print_json, print_table, shortened, words
from worker.cli.story import print_story, story_as_json
from worker.domain.execution import State
from worker.ledger import history
from worker.ledger.history import ExecutionFilter, ExecutionLine, ExecutionStory
from worker.settings import Settings

app = typer.Typer(name="executions", help="What became of trades.", no_args_is_help=True)

_SIDES = {1: "buy", -1: "sell"}


@app.command(
    "list", epilog=examples("mt5-worker executions list", "mt5-worker executions list --status unresolved --json")
)
def list_(
    status: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only those of this symbol.")] = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """List executions of all accounts, the newest first."""
    found = finish(_list(settings(), ExecutionFilter(state=status, symbol=symbol), rows(limit, as_json=as_json)))
    if as_json:
        print_json([asdict(line) for line in found])
        return
    columns = ["execution, trade", "symbol, order", "status, received (UTC)"]
    print_table(columns, map(_cells, found), none="no execution fits", whole=columns[:1])


@app.command(epilog=examples("mt5-worker executions show RPM-20260302-000042"))
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="An execution_id or a trade_id.")], as_json: AsJson = False
) -> None:
    """Show everything that is known of one trade: fields, timeline, attempts, deals, confirmations, dead letters."""
    story = finish(_show(settings(), name))
    if as_json:
        print_json(story_as_json(story))
    else:
        print_story(story)


def _cells(line: ExecutionLine) -> list[str]:
    status = line.status if line.reason is None else f"{line.status}, {line.reason}"
    return [
        f"{line.execution_id}\n{shortened(line.trade_id)}",
        f"{line.symbol}\n{_SIDES[line.direction]} {words(line.units)}",
        f"{status}\n{words(line.received_at)}",
    ]


async def _list(found: Settings, wanted: ExecutionFilter, limit: int) -> Sequence[ExecutionLine]:
    async with ledger(found) as desk:
        return await history.executions(desk, wanted, limit)


async def _show(found: Settings, name: str) -> ExecutionStory:
    async with ledger(found) as desk:
        return await history.execution(desk, name)
