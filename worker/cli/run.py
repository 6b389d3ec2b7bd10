"""`run`: the worker itself."""

from __future__ import annotations

import typer

from worker.cli.choices import examples
from worker.cli.exits import finish
from worker.domain.errors import WrongSetting
from worker.settings import Backend, Settings, read_settings

app = typer.Typer()


@app.command(epilog=examples("mt5-worker run", "MT5_BACKEND=simulated mt5-worker run"))
def run() -> None:
    """
    Take approved trades from RabbitMQ, execute them and confirm them, until SIGTERM or Ctrl-C.

    All settings come from the environment and `.env`. It ends in order: it stops taking trades, finishes what is open
    within DRAIN_TIMEOUT_SECONDS, and leaves the rest to the ledger for the next start.
    """
    from worker import bootstrap  # noqa: PLC0415 - the whole worker is loaded by no other command

    settings = read_settings()
    _insist_on_what_is_needed(settings)
    raise typer.Exit(finish(bootstrap.run(settings)))


def _insist_on_what_is_needed(settings: Settings) -> None:
    needed = {
        "AMQP_URL": settings.amqp_url,
        "POSTGRES_URL": settings.postgres_url,
    }
    missing = [f"{name}: is not set, and the worker needs it" for name, value in needed.items() if value is None]
    if settings.mt5_backend is None:
        choices = " or ".join(f"`{backend}`" for backend in Backend)
        missing.append(
            f"MT5_BACKEND: say {choices}; there is no default, so that simulated fills are never taken for real ones"
        )
    if missing:
        raise WrongSetting("\n".join(missing))
