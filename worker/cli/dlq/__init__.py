"""`dlq`: what needs a person."""

from __future__ import annotations

import typer

from worker.cli.dlq import archiving, exchanging, looking, replaying, showing, unparking

app = typer.Typer(name="dlq", help="Dead letters: messages and trades that need a person.", no_args_is_help=True)

for group in (looking, showing, replaying, archiving, exchanging, unparking):
    app.add_typer(group.app)
