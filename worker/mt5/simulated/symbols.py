"""The broker's symbols: the base instruments with their specifications, and every one of them with every suffix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.behaviours import TABLE, Behaviour, Fill

FILLING_FOK = 1  # SYMBOL_FILLING_*: flags of a symbol, absent from the package
FILLING_IOC = 2
ALL_ORDER_KINDS = 127  # SYMBOL_ORDER_*: flags too
ALL_EXPIRATIONS = 15  # SYMBOL_EXPIRATION_*

_FOREX = mt5.SYMBOL_CALC_MODE_FOREX
_LEVERAGED = mt5.SYMBOL_CALC_MODE_CFDLEVERAGE
_CFD = mt5.SYMBOL_CALC_MODE_CFD
_INDEX = mt5.SYMBOL_CALC_MODE_CFDINDEX
_MARKET = mt5.SYMBOL_TRADE_EXECUTION_MARKET
_NO_STOP_LIMIT = ALL_ORDER_KINDS - 8
_GTC_OR_DAY = 3
_NOISE = 1e-6  # of a step: so far sums and products of floats may be off the volume that they mean


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """
    What is traded: prices in the profit currency, volumes in lots, `commission` in USD per lot and deal.

    `pip` only scales this broker's own prices, spreads and slippage. `margin_rate` multiplies what the calculation
    mode makes of a market order's margin; `margin_hedged` is the contract size that counts where a lot bought and a
    lot sold stand against each other; `margin_initial`, when there is one, is a lot's margin in the margin currency
    and replaces the mode's formula. Where `execution` is instant, an order is filled at its own
    price within its deviation, or requoted; market execution looks at neither (MetaTrader 5 help, "Execution Types").
    """

    name: str
    base: str
    profit: str
    description: str
    price: float
    digits: int
    pip: float
    spread_pips: float
    volatility: float  # how far the price typically moves in a day, as a share of it
    tick_size: float
    contract_size: float
    volume_min: float
    volume_max: float
    volume_step: float
    volume_limit: float  # of one direction, open orders included; 0 = none
    calc_mode: int
    margin_rate: float
    margin_hedged: float
    commission: float
    execution: int = mt5.SYMBOL_TRADE_EXECUTION_INSTANT
    stops_level: int = 0  # points that a pending order, a stop loss or a take profit keeps from the price; 0 = none
    freeze_level: int = 0  # points from its price within which an order or a stop cannot be changed; 0 = none
    order_mode: int = ALL_ORDER_KINDS
    expiration_mode: int = ALL_EXPIRATIONS
    open_at_weekends: bool = False  # where the others are closed
    margin_initial: float = 0.0

    @property
    def point(self) -> float:
        """Return the smallest digit of a price."""
        return round(10.0**-self.digits, self.digits)

    @property
    def tick_value(self) -> float:
        """Return what a tick of one lot is worth in the profit currency."""
        return self.tick_size * self.contract_size

    def rounded(self, price: float) -> float:
        """Return the nearest price on the tick size."""
        return round(round(price / self.tick_size) * self.tick_size, self.digits)

    def meant(self, volume: float) -> float:
        """Return the tradable volume that a calculated one means, 0.3 for 0.1 * 3; any other volume as it is."""
        if not 0 <= volume <= self.volume_max + self.volume_step:  # NaN is in no range
            return volume
        nearest = self.lots(self.steps(volume))
        return nearest if abs(nearest - volume) < _NOISE * self.volume_step else volume

    def steps(self, volume: float) -> int:
        """Return a volume as a whole number of steps, the nearest."""
        return round(volume / self.volume_step)

    def lots(self, steps: int) -> float:
        """Return a number of steps in lots, free of float noise."""
        return round(steps * self.volume_step, 8)


def _pair(name: str, description: str, price: float, digits: int, spread_pips: float) -> Instrument:
    tick = round(10.0**-digits, digits)
    return Instrument(
        name=name,
        base=name[:3],
        profit=name[3:],
        description=description,
        price=price,
        digits=digits,
        pip=tick * 10,
        spread_pips=spread_pips,
        volatility=0.005,
        tick_size=tick,
        contract_size=100_000.0,
        volume_min=0.01,
        volume_max=100.0,
        volume_step=0.01,
        volume_limit=0.0,
        calc_mode=_FOREX,
        margin_rate=1.0,
        margin_hedged=100_000.0,
        commission=3.5,
        stops_level=5,
    )


# fmt: off
_INSTRUMENTS = (
    _pair("EURUSD", "Euro vs US Dollar", 1.085, 5, 1.2),
    _pair("GBPUSD", "Great Britain Pound vs US Dollar", 1.27, 5, 1.5),
    _pair("AUDUSD", "Australian Dollar vs US Dollar", 0.655, 5, 1.4),
    _pair("USDJPY", "US Dollar vs Japanese Yen", 151.25, 3, 1.3),
    _pair("EURJPY", "Euro vs Japanese Yen", 164.1, 3, 1.9),
    Instrument("XAUUSD", "XAU", "USD", "Gold vs US Dollar", price=2400.0, digits=2, pip=0.1, spread_pips=2.0,
               volatility=0.01, tick_size=0.01, contract_size=100.0, volume_min=0.01, volume_max=50.0, volume_step=0.01,
               volume_limit=0.0, calc_mode=_LEVERAGED, margin_rate=1.0, margin_hedged=50.0, commission=3.5,
               stops_level=20, freeze_level=10),
    Instrument("US500", "USD", "USD", "US 500 Index", price=5200.0, digits=2, pip=0.1, spread_pips=4.0,
               volatility=0.01, tick_size=0.1, contract_size=1.0, volume_min=0.1, volume_max=250.0, volume_step=0.1,
               volume_limit=5000.0, calc_mode=_INDEX, margin_rate=0.05, margin_hedged=0.0, commission=0.0,
               execution=_MARKET, stops_level=50, freeze_level=20),
    Instrument("BTCUSD", "BTC", "USD", "Bitcoin vs US Dollar", price=65_000.0, digits=2, pip=1.0, spread_pips=5.0,
               volatility=0.03, tick_size=0.01, contract_size=1.0, volume_min=0.01, volume_max=10.0, volume_step=0.01,
               volume_limit=500.0, calc_mode=_CFD, margin_rate=0.5, margin_hedged=1.0, commission=0.0,
               execution=_MARKET, stops_level=500, freeze_level=200, open_at_weekends=True),
    Instrument("ETHUSD", "ETH", "USD", "Ethereum vs US Dollar", price=3200.0, digits=2, pip=0.1, spread_pips=5.0,
               volatility=0.04, tick_size=0.01, contract_size=1.0, volume_min=0.1, volume_max=100.0, volume_step=0.1,
               volume_limit=5000.0, calc_mode=_CFD, margin_rate=0.5, margin_hedged=1.0, commission=0.0,
               execution=_MARKET, order_mode=_NO_STOP_LIMIT, expiration_mode=_GTC_OR_DAY, open_at_weekends=True),
)
# fmt: on


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """An instrument under one suffix."""

    name: str
    instrument: Instrument
    behaviour: Behaviour

    @property
    def execution(self) -> int:
        """Return how its orders are executed: instant execution is whole or not at all, so parts come otherwise."""
        executes_parts = self.behaviour.fill is Fill.PARTIAL
        return mt5.SYMBOL_TRADE_EXECUTION_MARKET if executes_parts else self.instrument.execution


BASE = {instrument.name: instrument for instrument in _INSTRUMENTS}
SYMBOLS = {
    symbol.name: symbol
    for suffix, behaviour in TABLE.items()
    for instrument in _INSTRUMENTS
    for symbol in [Symbol(".".join(filter(None, (instrument.name, suffix))), instrument, behaviour)]
}
UNREADABLE = frozenset(symbol.name for symbol in SYMBOLS.values() if symbol.behaviour.unreadable)


@cache
def in_group(group: str, others: frozenset[str] = frozenset()) -> frozenset[str]:
    """
    Return the symbols that a group filter lets through, and such of the `others`.

    A group is a list of masks with `*`, separated by commas, applied in order; one that begins with `!` takes out
    again (documentation of `symbols_get`).
    """
    chosen: set[str] = set()
    for mask in (part.strip() for part in group.split(",")):
        pattern = re.compile(re.escape(mask.removeprefix("!")).replace(r"\*", ".*"))
        matching = {name for name in others.union(SYMBOLS) if pattern.fullmatch(name)}
        chosen = chosen - matching if mask.startswith("!") else chosen | matching
    return frozenset(chosen)
