"""`executions`: what became of trades."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer

from worker.cli.choices import AlreadyAsked, AsJson, By, Limit, Reason, Since, Until, examples, read_deal, rows
from worker.cli.exits import complain, finish
from worker.cli.parts import ledger, settings
from worker.cli.show import console, looking, print_json, print_table, shortened, words
from worker.cli.story import print_story, story_as_json
from worker.clock import SystemClock
from worker.domain.attestation import AttestedDeal, Statement
from worker.domain.execution import OPEN, Execution, State
from worker.ledger import history, resolutions
from worker.ledger.history import ExecutionStory
from worker.ledger.listing import ExecutionFilter, ExecutionLine, executions
from worker.pipeline.attest import attest_executed, attest_not_executed
from worker.ports import Change
from worker.settings import Settings

app = typer.Typer(name="executions", help="What became of trades.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="ID", help="An execution_id or a trade_id.")]
_SIDES = {1: "buy", -1: "sell"}
_NONE = "no execution fits; names are compared letter for letter"
_NOT_ENDED = sorted(OPEN | {State.UNRESOLVED})
_TICKETS = 2**63 - 1


@app.command(
    "list",
    epilog=examples(
        "mt5-worker executions list --open",
        "mt5-worker executions list --status rejected --status expired --since 2h",
        "mt5-worker executions list --reason margin_insufficient --symbol EURUSD --since 1d --until 12h",
        "mt5-worker executions list --deal 50012 --json",
    ),
)
def list_(  # noqa: PLR0917 - what the command line has
    status: Annotated[
        list[State] | None, typer.Option("--status", "--state", help="Only those in this state; may be repeated.")
    ] = None,
    is_open: Annotated[
        bool, typer.Option("--open", help="Those that have not ended: in flight, or unresolved.")
    ] = False,
    symbol: Annotated[str | None, typer.Option(help="Only those of this symbol, as RPM names it.")] = None,
    account: Annotated[str | None, typer.Option(help="Only those of this account.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only those that were refused or failed for this reason.")] = None,
    since: Since = None,
    until: Until = None,
    text: Annotated[str | None, typer.Option(help="A trade id or an order id of RPM's, or any part of one.")] = None,
    order: Annotated[
        int | None, typer.Option(min=1, max=_TICKETS, metavar="TICKET", help="The broker's order.")
    ] = None,
    deal: Annotated[int | None, typer.Option(min=1, max=_TICKETS, metavar="TICKET", help="The broker's deal.")] = None,
    after: Annotated[
        UUID | None, typer.Option(metavar="EXECUTION_ID", help="Go on behind this one: the next page.")
    ] = None,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """
    List executions, the newest first; all filters together. Times are those of arrival, by the worker's clock.

    A --text that is a whole id lists only the trade of that id, however old. Most other filters walk back through the
    arrivals: in a ledger of millions, --since makes them quick.
    """
    states = [*(status or []), *(_NOT_ENDED if is_open else [])]
    wanted = ExecutionFilter(account, states, symbol, reason, since, until, text, order, deal, after)
    most = rows(limit, as_json=as_json)
    with looking():
        found = finish(_list(settings(), wanted, most + 1))
    listed = found[:most]
    if as_json:
        print_json([asdict(line) for line in listed])
    else:
        columns = ["execution, trade", "symbol, order", "status, received (UTC)"]
        print_table(columns, map(_cells, listed), none=_NONE, whole=columns[:1])
    if len(found) > most:
        complain(f"there are more: go on with --after {listed[-1].execution_id}")


@app.command(
    epilog=examples(
        "mt5-worker executions show RPM-20260302-000042",
        "mt5-worker executions show 0b8c2f36-6c0f-4a65-b5a9-6f2f5d3a7e10 --raw",
        "mt5-worker executions show RPM-20260302-000042 --json",
    )
)
def show(
    name: Name,
    raw: Annotated[bool, typer.Option("--raw", help="Also the broker's requests and replies, word for word.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Show one trade: what is certain of it, what there is to do, and its timeline from the message to the last event.

    Times marked ~ are the broker's server clock, turned into UTC by the offset that the worker has measured; all others
    are the clock of the machine of the worker, or of the operator who acted. A length of time between two clocks is
    approximate. Of several trades with the same id all are shown; --json wants the execution_id then.
    """
    if as_json:
        print_json(story_as_json(finish(_show_one(settings(), name))))
        return
    for number, story in enumerate(finish(_show(settings(), name))):
        if number:
            console().rule()
        print_story(story, raw=raw)


@app.command(
    epilog=examples(
        'mt5-worker executions resolve RPM-42 --executed --deal 50012 --reason "deal in the broker\'s statement"',
        "mt5-worker executions resolve RPM-42 --executed --deal 50012:0.6@1.0842 --deal 50013:0.4@1.0843 --reason ...",
        'mt5-worker executions resolve RPM-42 --not-executed --reason "the broker\'s desk says so, ticket 4711"',
    )
)
def resolve(  # noqa: PLR0917 - what the command line has
    name: Name,
    by: By,
    reason: Reason,
    executed: Annotated[bool, typer.Option("--executed", help="The broker executed it, by the deals named.")] = False,
    not_executed: Annotated[
        bool, typer.Option("--not-executed", help="The broker did not, and will not any more, execute anything of it.")
    ] = False,
    deal: Annotated[
        list[AttestedDeal] | None,
        typer.Option(parser=read_deal, metavar="TICKET[:LOTS@PRICE]", help="A deal of this trade; may be repeated."),
    ] = None,
    more: Annotated[
        list[AttestedDeal] | None, typer.Argument(parser=read_deal, metavar="[TICKET]...", hidden=True)
    ] = None,
    yes: AlreadyAsked = False,  # noqa: ARG001 - one trade is no bulk change
) -> None:
    """
    End an unresolved trade by what you know of it. Look first: what you say here is confirmed to everybody as final.

    A single deal without figures stands for the whole size asked for; its price stays null until the broker shows it.
    Less than that is confirmed as partially filled. What was not executed ends in `error`, and its dead letter can be
    replayed. A worker need not run; the next one publishes the confirmation.
    """
    end = _ending(executed, not_executed, [*(deal or []), *(more or [])], by, reason)
    after = finish(_resolve(settings(), name, end, by, reason))
    sys.stdout.write(
        f"execution {after.execution_id} is {after.state} now; its confirmation, version {after.version}, is queued: "
        "the worker publishes it\n"
    )


def _ending(
    executed: bool, not_executed: bool, deals: Sequence[AttestedDeal], by: str, reason: str
) -> Callable[[Execution], Change]:
    if executed == not_executed:
        raise typer.BadParameter("say one of --executed and --not-executed")
    if executed != bool(deals):
        raise typer.BadParameter("--executed takes its deals with --deal, --not-executed takes none")
    if len({deal.ticket for deal in deals}) < len(deals):
        raise typer.BadParameter("a deal is named twice")
    statement = Statement(by, reason, SystemClock().now())
    if not_executed:
        return lambda execution: attest_not_executed(execution, statement)
    return lambda execution: attest_executed(execution, deals, statement)


def _cells(line: ExecutionLine) -> list[str]:
    status = line.status if line.reason is None else f"{line.status}, {line.reason}"
    return [
        f"{line.execution_id}\n{shortened(line.trade_id)}",
        f"{line.symbol}\n{_SIDES[line.direction]} {words(line.units)}",
        f"{status}\n{words(line.received_at)}",
    ]


async def _list(found: Settings, wanted: ExecutionFilter, limit: int) -> Sequence[ExecutionLine]:
    async with ledger(found) as desk:
        return await executions(desk, wanted, limit)


async def _show(found: Settings, name: str) -> Sequence[ExecutionStory]:
    async with ledger(found) as desk:
        return await history.stories(desk, name)


async def _show_one(found: Settings, name: str) -> ExecutionStory:
    async with ledger(found) as desk:
        return await history.execution(desk, name)


async def _resolve(found: Settings, name: str, end: Callable[[Execution], Change], by: str, reason: str) -> Execution:
    async with ledger(found) as desk:
        return await resolutions.resolve(desk, name, end, reason=reason, by=by)
