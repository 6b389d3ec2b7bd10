"""`audit export`: the trail for whoever has to keep it."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from worker.cli.audit.copies import manifest_beside
from worker.cli.audit.progress import progress
from worker.cli.choices import examples, read_since, whoami
from worker.cli.exits import complain, finish
from worker.cli.new_file import check_is_new, new_file
from worker.cli.parts import ledger, settings
from worker.ledger.exported.codec import Format
from worker.ledger.exported.manifest import Manifest
from worker.ledger.exporting import export as export_trail
from worker.ledger.trail import Selection
from worker.settings import Settings

app = typer.Typer()


@app.command(
    epilog=examples(
        "mt5-worker audit export --from 2026-03-01 --to 2026-04-01 --output march.jsonl",
        "mt5-worker audit export --trade RPM-20260302-000042 --format csv --output trade.csv",
        "mt5-worker audit export --symbol EURUSD --from 7d --manifest week.manifest.json > week.jsonl",
    )
)
def export(  # noqa: PLR0917 - what the command line has
    by: Annotated[
        str,
        typer.Option(
            "--by", default_factory=whoami, show_default="user@host", help="Who exports it, for the manifest."
        ),
    ],
    since: Annotated[
        datetime | None,
        typer.Option(
            "--from", parser=read_since, metavar="TIME|AGE", help="ISO 8601, UTC, or 7d. Default: the beginning."
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--to", parser=read_since, metavar="TIME|AGE", help="The first moment that is too late. Default: all."
        ),
    ] = None,
    account: Annotated[str | None, typer.Option("--account", help="Only this account. Default: all.")] = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only events of trades of this symbol.")] = None,
    trade: Annotated[
        str | None, typer.Option("--trade", metavar="ID", help="Only events of this trade_id or execution_id.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="JSON lines, or CSV with a header.")] = Format.JSONL,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="A new file.", show_default="standard output")
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            "--manifest",
            metavar="FILE",
            help="A new file for the manifest.",
            show_default="FILE.manifest.json; standard error without --output",
        ),
    ] = None,
) -> None:
    """
    Write events out, account by account in the order of their chains, with a manifest of what was written.

    Every value is the exact text that an event's hash covers, the payload's JSON too. The manifest tells count, range,
    SHA-256 and each chain's head: keep it with the file, then `audit verify FILE` needs no ledger. An export of a
    symbol or a trade leaves gaps in the chains: what that means for its proof is told by `audit verify`.

    A spreadsheet takes a text that begins with = + - or @ for a formula, such as an actor's name: import every column
    of a CSV as text, from a copy.
    """
    if symbol is not None and trade is not None:
        raise typer.BadParameter("a trade has one symbol: give --trade without --symbol")
    if form is Format.CSV and output is None and is_a_terminal():
        raise typer.BadParameter("CSV holds texts as they are, control characters too: give a terminal --format jsonl")
    wanted = Selection(account=account, since=since, until=until, symbol=symbol, trade=trade)
    told = manifest if manifest or output is None else manifest_beside(str(output))
    _export(wanted, form, by, output, told)


def is_a_terminal() -> bool:
    """Tell whether standard output is read by a person at once."""
    return sys.stdout.isatty()


def _export(wanted: Selection, form: Format, by: str, output: Path | None, manifest: Path | None) -> None:
    found = settings()
    for place in filter(None, (output, manifest)):
        check_is_new(place)
    with ExitStack() as files:
        # Closed in reverse: the manifest is there before its file, so that no whole export is without one.
        events = files.enter_context(new_file(output)) if output else sys.stdout.buffer
        notes = files.enter_context(new_file(manifest)) if manifest else sys.stderr.buffer
        done = finish(_write(found, wanted, form, by, events))
        notes.write(done.to_bytes())
    if output:
        complain(f"{done.contents.events} events exported; the manifest, {manifest}, belongs to them")


async def _write(found: Settings, wanted: Selection, form: Format, by: str, stream: BinaryIO) -> Manifest:
    async with ledger(found) as desk:
        with progress() as show:
            manifest = await export_trail(desk, wanted, form, by=by, write=stream.write, on_progress=show)
        stream.flush()
        return manifest
