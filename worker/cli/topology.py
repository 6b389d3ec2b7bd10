"""`topology`: what exists in RabbitMQ."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import typer

from worker.cli.choices import examples
from worker.cli.exits import ExitCode, complain, finish
from worker.cli.parts import rabbitmq, settings
from worker.cli.show import print_json
from worker.messaging.connection import AmqpConnection
from worker.messaging.declaration import check as find_missing
from worker.messaging.declaration import declare as create_missing
from worker.messaging.definitions import definitions
from worker.messaging.topology import Topology
from worker.messaging.topology import topology as topology_for
from worker.settings import Settings

app = typer.Typer(name="topology", help="Exchanges, queues and bindings in RabbitMQ.", no_args_is_help=True)

Accounts = Annotated[
    list[str] | None, typer.Option("--account", help="For this account; may be repeated. Default: ACCOUNT.")
]


@app.command(
    epilog=examples("mt5-worker topology declare", "mt5-worker topology declare --account main --account test")
)
def declare(account: Accounts = None) -> None:
    """Create what is missing in RabbitMQ; nothing is changed or removed."""
    _report(account, create_missing, "declared: everything is there")


@app.command(epilog=examples("mt5-worker topology check"))
def check(account: Accounts = None) -> None:
    """Say what is missing in RabbitMQ; nothing is created."""
    _report(account, find_missing, "everything is there")


@app.command(
    epilog=examples("mt5-worker topology export > definitions.json", "rabbitmqctl import_definitions definitions.json")
)
def export(
    account: Accounts = None,
    vhost: Annotated[str, typer.Option(help="The virtual host that gets it all.")] = "/",
) -> None:
    """
    Print everything as RabbitMQ's definitions.json, with users of least privilege.

    The users have no password and cannot log in until `rabbitmqctl change_password` gives them one.
    """
    print_json(definitions(account or [settings().account], vhost))


def _report(
    account: list[str] | None,
    step: Callable[[AmqpConnection, Topology], Awaitable[list[str]]],
    success: str,
) -> None:
    problems = finish(_ask(settings(), account, step))
    for problem in problems:
        complain(problem)
    if problems:
        raise typer.Exit(ExitCode.FAILED)
    sys.stdout.write(f"{success}\n")


async def _ask(
    found: Settings, account: Sequence[str] | None, step: Callable[[AmqpConnection, Topology], Awaitable[list[str]]]
) -> list[str]:
    async with rabbitmq(found, "topology") as connection:
        return await step(connection, topology_for(account or [found.account]))
