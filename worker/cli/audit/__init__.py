"""`audit`: whether the trail holds, the trail itself for whoever has to keep it, and what came of the trades."""

from __future__ import annotations

import typer

from worker.cli.audit import exporting, reporting, verifying

app = typer.Typer(name="audit", help="The audit trail: one chain of events for each account.", no_args_is_help=True)

for group in (verifying, exporting, reporting):
    app.add_typer(group.app)
