"""`run`: the worker itself."""

from __future__ import annotations

import typer

from worker import bootstrap
from worker.cli.choices import examples
from worker.cli.exits import finish
from worker.domain.errors import WrongSetting
from worker.settings import Settings, read_settings

app = typer.Typer()


@app.command(epilog=examples("mt5-worker run", "MT5_BACKEND=simulated mt5-worker run"))
def run() -> None:
    """
    Take approved trades from RabbitMQ, execute them and confirm them, until SIGTERM or Ctrl-C.

    All settings come from the environment and `.env`. It ends in order: it stops taking trades, finishes what is open
    within DRAIN_TIMEOUT_SECONDS, and leaves the rest to the ledger for the next start.
    """
    settings = read_settings()
    _insist_on_what_is_needed(settings)
    raise typer.Exit(finish(bootstrap.run(settings)))


def _insist_on_what_is_needed(settings: Settings) -> None:
    missing = []
    for need in (settings.need_backend, settings.need_amqp_url, settings.need_postgres_url):
        try:
            need()
        except WrongSetting as error:
            missing.append(str(error))
    if missing:
        raise WrongSetting("\n".join(missing))
