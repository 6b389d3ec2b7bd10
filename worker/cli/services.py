"""`services`: a RabbitMQ and a PostgreSQL to try things with."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import typer

from ops.services import detached
from worker.cli.choices import AsJson, examples
from worker.cli.exits import ExitCode
from worker.cli.show import print_json, print_table
from worker.plain_text import without_password

app = typer.Typer(
    name="services",
    help="A RabbitMQ and a PostgreSQL of this folder, to try things with: never a system's own.",
    no_args_is_help=True,
)


@app.command(epilog=examples("mt5-worker services up", "mt5-worker services up > .env"))
def up() -> None:
    """
    Start both and leave them running; print their URLs as settings.

    Containers of the local Docker engine, or private instances from local binaries, on free ports of 127.0.0.1.
    """
    state = detached.up()
    sys.stdout.write(f"AMQP_URL={state.amqp_url}\nPOSTGRES_URL={state.postgres_url}\n")


@app.command(epilog=examples("mt5-worker services down"))
def down() -> None:
    """Stop what `up` started, and remove its data."""
    sys.stdout.write("stopped, data removed\n" if detached.down() else "nothing was started from this folder\n")


@app.command(epilog=examples("mt5-worker services status", "mt5-worker services status --json"))
def status(as_json: AsJson = False) -> None:
    """Say what `up` started and whether it answers; exit code 1 when nothing is up, 3 when something is silent."""
    found = detached.status()
    rows = [] if found is None else _rows(found)
    if as_json:
        print_json(rows)
    else:
        cells = [[row["service"], "answers" if row["ready"] else "silent", row["url"]] for row in rows]
        print_table(["service", "state", "url"], cells, none="nothing was started from this folder")
    if not rows:
        raise typer.Exit(ExitCode.FAILED)
    if not all(row["ready"] for row in rows):
        raise typer.Exit(ExitCode.OUT_OF_REACH)


def _rows(found: detached.Status) -> list[Mapping[str, object]]:
    state = found.state
    return [
        {
            "service": "rabbitmq",
            "ready": found.rabbitmq_ready,
            "url": without_password(state.amqp_url),
            "way": state.way,
        },
        {
            "service": "postgres",
            "ready": found.postgres_ready,
            "url": without_password(state.postgres_url),
            "way": state.way,
        },
    ]
