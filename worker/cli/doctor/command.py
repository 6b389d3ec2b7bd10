"""`doctor`: whether everything is there that the worker needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import typer
from rich.text import Text

from worker.cli.choices import AsJson, examples
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


@app.command(epilog=examples("mt5-worker doctor", "mt5-worker doctor --json"))
def doctor(as_json: AsJson = False) -> None:
    """
    Look at everything the worker needs, and say what to do about what is not as it must be.

    Settings, PostgreSQL, the ledger's schema and rights, RabbitMQ, its topology and rights, the terminal, the clocks.
    Nothing is changed. Exit code 1 when something fails, 3 when a service is out of reach.
    """
    found = finish(_examine(settings()))
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        print_table(["", "what", "finding"], map(_cells, found), none="")
    verdicts = {finding.verdict for finding in found}
    if Verdict.OUT_OF_REACH in verdicts:
        raise typer.Exit(ExitCode.OUT_OF_REACH)
    if Verdict.FAIL in verdicts:
        raise typer.Exit(ExitCode.FAILED)


async def _examine(found: Settings) -> Sequence[Finding]:
    seen = [Finding("settings", Verdict.OK, f"readable; the account is {found.account}")]
    for part in (postgres(found), rabbit(found), terminal(found)):
        seen += [finding async for finding in part]
    return seen


def _cells(finding: Finding) -> list[Text]:
    todo = f"\n-> {finding.todo}" if finding.todo else ""
    return [
        Text(finding.verdict, style=_STYLES[finding.verdict]),
        cell(finding.check),
        cell(f"{finding.detail}{todo}"),
    ]
