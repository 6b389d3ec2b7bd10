"""`db`: the ledger's schema."""

from __future__ import annotations

import sys

import typer

from worker.cli.choices import examples
from worker.cli.exits import finish
from worker.cli.parts import settings
from worker.ledger import schema

app = typer.Typer(name="db", help="The ledger's schema in PostgreSQL.", no_args_is_help=True)


@app.command(epilog=examples("mt5-worker db migrate"))
def migrate() -> None:
    """Bring the database up to date; run it as the database's owner, as often as you like."""
    applied = finish(schema.migrate(settings().need_postgres_url()))
    for name in applied:
        sys.stdout.write(f"applied {name}\n")
    if not applied:
        sys.stdout.write("the ledger is up to date\n")


@app.command(epilog=examples("mt5-worker db check"))
def check() -> None:
    """Say whether the database has exactly the schema of this program; nothing is changed."""
    finish(schema.check(settings().need_postgres_url()))
    sys.stdout.write("the ledger is up to date\n")
