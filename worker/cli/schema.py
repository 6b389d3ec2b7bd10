"""`schema export`: the public documents."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from schemas import export as documents
from worker.cli.choices import examples
from worker.cli.exits import ExitCode, complain

app = typer.Typer(
    name="schema", help="The messages' JSON Schemas, AsyncAPI document and examples.", no_args_is_help=True
)


@app.command(epilog=examples("mt5-worker schema export ./contract", "mt5-worker schema export ./contract --check"))
def export(
    folder: Annotated[
        Path, typer.Argument(help="Where to write them; it is made when it is missing.", file_okay=False)
    ],
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say which files there differ.")] = False,
) -> None:
    """Write JSON Schemas, AsyncAPI document and examples of all messages into a folder."""
    if not check:
        for path in documents.write(folder):
            sys.stdout.write(f"{path}\n")
        return
    differing = documents.drifted(folder)
    for name in differing:
        complain(f"{folder / name} is missing or differs: run `mt5-worker schema export {folder}`")
    if differing:
        raise typer.Exit(ExitCode.FAILED)
