"""`audit`: whether the trail holds, and the trail itself for whoever has to keep it."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from worker.cli.choices import AsJson, examples, read_moment
from worker.cli.exits import ExitCode, finish
from worker.cli.parts import ledger, settings
from worker.cli.show import cell, console, print_json
from worker.cli.witnesses import Witnesses, read_witnesses
from worker.ledger import trail
from worker.ledger.audit import AuditRow
from worker.ledger.encoding import as_row
from worker.ledger.trail import Verdict
from worker.settings import Settings

app = typer.Typer(name="audit", help="The audit trail: one chain of events for each account.", no_args_is_help=True)

Write = Callable[[AuditRow], None]
Account = Annotated[str | None, typer.Option("--account", help="Only this account. Default: all of the ledger.")]


class Format(StrEnum):
    """How events are written."""

    JSONL = "jsonl"
    CSV = "csv"


@app.command(
    epilog=examples("mt5-worker audit verify", "mt5-worker audit verify --account main --anchors confirmations.jsonl")
)
def verify(
    account: Account = None,
    anchors: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Subscribers' confirmations: one JSON object a line, or an array; - = stdin."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """
    Follow every chain and name the first event that does not hold: changed, missing, added or replaced.

    A chain that was rewritten as a whole holds together. Only copies outside the database show that, and an end that
    was cut off: each confirmation carries an anchor, so give subscribers' confirmations with --anchors.

    Exit code 1 when a fault is found.
    """
    witnesses = {} if anchors is None else read_witnesses(anchors)
    verdicts = finish(_verify(settings(), account, witnesses))
    if as_json:
        print_json([_as_json(verdict) for verdict in verdicts])
    else:
        for verdict in verdicts:
            console().print(cell(_sentence(verdict)), soft_wrap=True)
    if any(verdict.fault for verdict in verdicts):
        raise typer.Exit(ExitCode.FAILED)


@app.command(epilog=examples("mt5-worker audit export --from 2026-03-01 --to 2026-04-01 --format csv > march.csv"))
def export(
    since: Annotated[
        datetime | None,
        typer.Option("--from", parser=read_moment, metavar="TIME", help="ISO 8601, UTC. Default: the beginning."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--to", parser=read_moment, metavar="TIME", help="The first moment that is too late. Default: all."
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="JSON lines, or CSV with a header.")] = Format.JSONL,
    account: Account = None,
) -> None:
    """
    Write the events of a time window to standard output, account by account in the order of their chains.

    Every value is the exact text that an event's hash covers, the payload's JSON too.
    """
    finish(_export(settings(), account, since, until, _WRITERS[form]()))


async def _verify(found: Settings, account: str | None, witnesses: Witnesses) -> list[Verdict]:
    async with ledger(found) as desk:
        names = await trail.chains(desk, account)
        strangers = [] if account else sorted(witnesses.keys() - set(names))
        verdicts = []
        for name in [*names, *strangers]:
            with _progress(name) as on_progress:
                verdicts.append(await trail.verify(desk, name, witnesses.get(name, []), on_progress))
        return verdicts


async def _export(
    found: Settings, account: str | None, since: datetime | None, until: datetime | None, write: Write
) -> None:
    async with ledger(found) as desk:
        for name in await trail.chains(desk, account):
            async for row in trail.events(desk, name, since, until):
                write(row)


@contextmanager
def _progress(account: str) -> Iterator[trail.Progress]:
    """Show how far it is, on a terminal only, and leave nothing of it behind."""
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task(str(cell(account)), total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _as_json(verdict: Verdict) -> dict[str, Any]:
    fault = verdict.fault
    return {
        "account": verdict.account,
        "holds": fault is None,
        "head": asdict(verdict.head),
        "anchors": verdict.witnesses,
        "fault": None if fault is None else {"sequence": fault.sequence, "problem": fault.problem},
    }


def _sentence(verdict: Verdict) -> str:
    if verdict.fault is not None:
        return f"account {verdict.account}: {verdict.fault.problem}"
    said = f"account {verdict.account}: {verdict.head.sequence} events, internally consistent"
    return f"{said}; {verdict.witnesses} anchors of subscribers agree" if verdict.witnesses else said


def _json_lines() -> Write:
    def write(row: AuditRow) -> None:
        sys.stdout.write(f"{json.dumps(as_row(row))}\n")

    return write


def _csv() -> Write:
    writer = csv.DictWriter(sys.stdout, [field.name for field in fields(AuditRow)], lineterminator="\n")
    writer.writeheader()

    def write(row: AuditRow) -> None:
        writer.writerow(as_row(row))

    return write


_WRITERS: dict[Format, Callable[[], Write]] = {Format.JSONL: _json_lines, Format.CSV: _csv}
