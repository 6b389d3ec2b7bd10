"""`instruments`: what RPM may size to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from worker import bootstrap
from worker.cli.choices import AsJson, examples
from worker.cli.exits import finish
from worker.cli.parts import settings
from worker.cli.show import console, print_json, print_table, words
from worker.domain.errors import NotFound
from worker.domain.instrument import Instrument, pip_size
from worker.settings import Settings

app = typer.Typer()

PATIENCE_SECONDS = 30.0  # for the terminal to open
_COLUMNS = {  # of the table, and what they show, two lines for each symbol
    "symbol\nkind, tradable": ("symbol", "calculated_as", "tradable"),
    "contract\nstep": ("contract_size", "step_units"),
    "minimum\nmaximum": ("minimum_units", "maximum_units"),
    "tick\npip": ("tick_size", "pip_size"),
}


@app.command(epilog=examples("mt5-worker instruments", "mt5-worker instruments EURUSD XAUUSD --json"))
def instruments(
    symbols: Annotated[
        list[str] | None, typer.Argument(help="RPM's names; without any, all that the terminal shows.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """
    List the broker's instruments: what a lot is, and what RPM may size to.

    Contract size, step, minimum and maximum are in units of the base asset, tick and pip in price; the rest is how
    MetaTrader calculates the symbol and what may be opened.

    Sizes that are whole steps within these limits are executed exactly as approved. A native terminal that a running
    worker uses is not at hand for this command.
    """
    found = settings()
    rows = _rows(finish(_ask(found, symbols or [])), found)
    if as_json:
        print_json(rows)
        return
    symbol, *figures = _COLUMNS
    print_table(
        [symbol, *figures], map(_cells, rows), none="the terminal shows no symbol", whole=figures, numbers=figures
    )
    _tell_of_missing_pips(rows)


def _cells(row: Mapping[str, Any]) -> list[str]:
    (symbol, *rest), *figures = [[words(row[field]) for field in fields] for fields in _COLUMNS.values()]
    return [f"{symbol}\n{', '.join(rest)}", *("\n".join(pair) for pair in figures)]


def _tell_of_missing_pips(rows: Sequence[dict[str, Any]]) -> None:
    without = [row["symbol"] for row in rows if row["pip_size"] is None]
    if without:
        console().print(
            f"No pip size is known for {', '.join(without)}. Their trades are refused as invalid_market_data until "
            f"PIP_SIZES names one in price, for example PIP_SIZES='{{\"{without[0]}\": 0.1}}'.",
            markup=False,
            soft_wrap=True,
        )


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
        "tick_size": instrument.tick_size,
        "pip_size": pip_size(instrument, symbol, found.limits.pip_sizes),
        "calculated_as": instrument.calculated_as,
        "tradable": instrument.tradable,
    }
