"""`audit report`: what came of the trades, by day and symbol."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.audit import figures
from worker.cli.audit.figures import day_of, symbol_of
from worker.cli.audit.page import page
from worker.cli.audit.progress import progress
from worker.cli.choices import AsJson, examples, read_since
from worker.cli.exits import finish
from worker.cli.new_file import check_is_new, new_file
from worker.cli.parts import ledger, settings
from worker.cli.show import console, print_json, print_table
from worker.ledger.report import Asked, Line, Report
from worker.ledger.report import report as sum_up
from worker.settings import Settings

app = typer.Typer()

_USUALLY = timedelta(days=7)
_AT_MOST = timedelta(days=366)
_MOST_LINES = 50  # for a person
_WORDS = ("ended otherwise",)


@app.command(
    epilog=examples(
        "mt5-worker audit report --from 2026-03-01 --to 2026-04-01",
        "mt5-worker audit report --from 30d --symbol EURUSD --json",
        "mt5-worker audit report --from 30d --html report.html",
    )
)
def report(  # noqa: PLR0917 - what the command line has
    since: Annotated[
        datetime | None,
        typer.Option(
            "--from", parser=read_since, metavar="TIME|AGE", help="ISO 8601, UTC, or 30d. Default: 7d before --to."
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--to", parser=read_since, metavar="TIME|AGE", help="The first moment that is too late. Default: now."
        ),
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Only this account. Default: all.")] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only trades of this symbol.")] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page with plots to a new file; it needs no network."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """
    Show how trades ended and why, how far fills were from the intended price, and how long they took.

    Figures are those that subscribers were told last; a trade belongs to the day, in UTC, on which its first
    confirmation was written down: moments after the `timestamp` in it. Messages that were refused before they became
    trades count among the rejected ones when their sender was told so; `executions list` has none of them.

    Slippage is in pips, positive is worse for us; percentiles are values that occurred. Times run from receipt to the
    last deal, by the broker's clock.
    """
    until = until or datetime.now(UTC)
    since = since or until - _USUALLY
    if not timedelta(0) < until - since <= _AT_MOST:
        raise typer.BadParameter("--from comes before --to, by 366 days at most")
    if html is not None:
        check_is_new(html)
    found = finish(_report(settings(), Asked(since, until, account, symbol)))
    if html is not None:
        with new_file(html) as file:
            file.write(page(found).encode())
    if as_json:
        print_json(asdict(found))
    elif html is not None:
        sys.stdout.write(f"{found.total.executions} trades are in the page\n")
    else:
        _show(found)


async def _report(found: Settings, asked: Asked) -> Report:
    async with ledger(found) as desk:
        with progress() as show:
            show("summing up", 0, None)
            return await sum_up(desk, asked)


def _show(found: Report) -> None:
    """Print tables that fit a terminal: by day and symbol while a person can take that in, else by symbol."""
    by_both = len(found.by_day_and_symbol) <= _MOST_LINES
    lines = found.by_day_and_symbol if by_both else found.by_symbol[:_MOST_LINES]
    if not lines:
        console().print("no trade was confirmed for the first time in these days")
        return
    tables = (
        ("How trades ended", figures.ENDINGS, figures.endings),
        ("Slippage in pips, positive is worse for us", figures.SLIPPAGE, figures.slippage),
        ("Lots, and seconds from receipt to fill", figures.FILLS, figures.fills),
    )
    places = ["day (UTC)", "symbol"] if by_both else ["symbol"]
    for title, columns, cells in tables:
        console().print(f"\n{title}")
        rows = [[*_place(line, by_both=by_both), *cells(line)] for line in [*lines, found.total]]
        numbers = [name for name in columns if name not in _WORDS]
        print_table([*places, *columns], rows, none="", whole=["day (UTC)", *numbers], numbers=numbers)
    if found.reasons:
        console().print("\nWhy trades did not end filled")
        print_table(["reason", "status", "trades"], figures.reasons(found), none="", numbers=["trades"])
    if not by_both:
        console().print("\nThe days one by one: --json, or a page with plots: --html FILE")


def _place(line: Line, *, by_both: bool) -> list[str]:
    return [day_of(line), symbol_of(line)] if by_both else [symbol_of(line)]
