"""`doctor`: whether everything is there that the worker needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from worker.cli.choices import AsJson, By, Yes, examples
from worker.cli.doctor.broker import canaries, measure
from worker.cli.doctor.finding import Finding, Verdict
from worker.cli.doctor.postgres import postgres
from worker.cli.doctor.rabbit import rabbit
from worker.cli.doctor.terminal import terminal
from worker.cli.exits import ExitCode, finish
from worker.cli.parts import settings
from worker.cli.show import cell, print_json, print_table
from worker.settings import Settings

app = typer.Typer()

_STYLES = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "bold red", Verdict.OUT_OF_REACH: "bold red"}

_Broker = Annotated[
    bool, typer.Option("--broker", help="Fly a canary: open the smallest position, close it, measure the broker.")
]
_Symbol = Annotated[
    str | None, typer.Option("--symbol", help="RPM's name of the canary's symbol; without it a liquid one.")
]
_Live = Annotated[
    bool, typer.Option("--live-account-really", help="Let the canary trade real money; a demo account needs no flag.")
]


@app.command(epilog=examples("mt5-worker doctor", "mt5-worker doctor --json", "mt5-worker doctor --broker"))
def doctor(
    *,
    by: By,
    broker: _Broker = False,
    symbol: _Symbol = None,
    live: _Live = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """
    Look at everything the worker needs, and say what to do about what is not as it must be.

    Settings, PostgreSQL, the ledger's schema and rights, RabbitMQ, its topology and rights, the terminal, the clocks,
    the last canary. Nothing is changed. Exit code 1 when something fails, 3 when a service is out of reach.

    With --broker it trades: it says what it is going to do and asks, buys the smallest volume, closes exactly that
    position again, and tells (and stores in PostgreSQL, if there is one) what the broker has made of it.
    """
    if not broker and (symbol or live):
        raise typer.BadParameter("--symbol and --live-account-really belong to --broker")
    if broker:
        facts, found = measure(settings(), symbol=symbol, live=live, yes=yes, by=by)
        _tell(found, {"facts": asdict(facts), "findings": list(map(asdict, found))}, as_json=as_json)
    else:
        found = finish(_examine(settings()))
        _tell(found, list(map(asdict, found)), as_json=as_json)


def _tell(found: Sequence[Finding], whole: object, *, as_json: bool) -> None:
    if as_json:
        print_json(whole)
    else:
        print_table(["", "what", "finding"], map(_cells, found), none="")
    verdicts = {finding.verdict for finding in found}
    if Verdict.OUT_OF_REACH in verdicts:
        raise typer.Exit(ExitCode.OUT_OF_REACH)
    if Verdict.FAIL in verdicts:
        raise typer.Exit(ExitCode.FAILED)


async def _examine(found: Settings) -> Sequence[Finding]:
    seen = [Finding("settings", Verdict.OK, f"readable; the account is {found.account}")]
    for part in (postgres(found), rabbit(found), terminal(found), canaries(found)):
        seen += [finding async for finding in part]
    return seen


def _cells(finding: Finding) -> list[Text]:
    todo = f"\n-> {finding.todo}" if finding.todo else ""
    return [
        Text(finding.verdict, style=_STYLES[finding.verdict]),
        cell(finding.check),
        cell(f"{finding.detail}{todo}"),
    ]
