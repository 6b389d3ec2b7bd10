"""`instruments`: what RPM may size to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from worker import bootstrap
from worker.cli.choices import AsJson, examples
from worker.cli.exits import finish
from worker.cli.parts import settings
from worker.cli.show import print_json, print_table
from worker.domain.errors import NotFound
from worker.domain.instrument import Instrument, TradeMode, pip_size
from worker.settings import Settings

app = typer.Typer()

PATIENCE_SECONDS = 30.0  # for the terminal to open


@app.command(epilog=examples("mt5-worker instruments", "mt5-worker instruments EURUSD XAUUSD --json"))
def instruments(
    symbols: Annotated[
        list[str] | None, typer.Argument(help="RPM's names; without any, all that the terminal shows.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """
    List the broker's instruments in units of the base asset: contract size, step, minimum and maximum.

    Sizes that are whole steps within these limits are executed exactly as approved. A native terminal that a running
    worker uses is not at hand for this command.
    """
    found = settings()
    rows = _rows(finish(_ask(found, symbols or [])), found)
    if as_json:
        print_json(rows)
        return
    columns = ["symbol", "contract_size", "step_units", "minimum_units", "maximum_units", "pip_size", "tradable"]
    cells = [[row[column] for column in columns] for row in rows]
    print_table([column.replace("_", " ") for column in columns], cells, none="the terminal shows no symbol")


async def _ask(found: Settings, symbols: Sequence[str]) -> Sequence[Instrument]:
    wanted = tuple(found.broker_symbol(symbol) for symbol in symbols)
    found.need_backend()
    with bootstrap.terminal_pool(found, "instruments") as pool:
        listed = await asyncio.to_thread(lambda: pool.session(PATIENCE_SECONDS).instruments(wanted))
    missing = set(wanted) - {instrument.symbol for instrument in listed}
    if missing:
        raise NotFound(f"the broker has no symbol {', '.join(sorted(missing))}")
    return listed


def _rows(listed: Sequence[Instrument], found: Settings) -> list[dict[str, Any]]:
    names = {broker: rpm for rpm, broker in found.symbol_map.items()}
    return [_row(instrument, names.get(instrument.symbol, instrument.symbol), found) for instrument in listed]


def _row(instrument: Instrument, symbol: str, found: Settings) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "broker_symbol": instrument.symbol,
        "contract_size": instrument.contract_size,
        "step_units": instrument.step_units,
        "minimum_units": instrument.minimum_units,
        "maximum_units": instrument.maximum_units,
        "digits": instrument.digits,
        "pip_size": pip_size(instrument, symbol, found.limits.pip_sizes),
        "tradable": TradeMode(instrument.trade_mode).name.lower(),
    }
