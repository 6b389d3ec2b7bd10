"""The commands, put together."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from worker import __version__
from worker.cli.choices import examples
from worker.cli.exits import Commands, all_written
from worker.cli.groups import ImportedWhenAsked


class Root(Commands):
    """The root of all commands, none of which is imported before it is asked for."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = cast("MutableMapping[str, Any]", ImportedWhenAsked())


app = typer.Typer(
    name="mt5-worker",
    cls=Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a defect shows Python's own traceback, without values that may be secret
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("mt5-worker demo", "mt5-worker doctor", "mt5-worker run"),
)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"mt5-worker {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Execute approved FX trades on MetaTrader 5, exactly as approved, and confirm every one of them."""


def main() -> None:
    """Run the command line; it ends the program with a code of `exits.ExitCode`, or with 130 after Ctrl-C."""
    if sys.stdout is None:  # started without one
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - open to the end of the program
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a console may lack a letter that a message has
    all_written(app)
