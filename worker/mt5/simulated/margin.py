"""
What orders and positions reserve of the account's money, by the symbol's calculation mode (ENUM_SYMBOL_CALC_MODE).

The margin of a lot is in the margin currency: the base currency in the forex modes, where the price does not matter,
and the profit currency in all others. Converted is at the market of the moment: the Ask for what was bought, the Bid
for what was sold. A symbol's `margin_initial` replaces its mode's formula.

Only market orders need margin: the rate of pending orders is 0, as it is at many retail brokers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.symbols import Instrument, Symbol
from worker.mt5.simulated.valuation import Holding, cents, rate

_IN_BASE_CURRENCY = (mt5.SYMBOL_CALC_MODE_FOREX, mt5.SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE)
_MARKET_ORDERS = (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL)


class Lot(NamedTuple):
    """One lot as the formulas see it: its contract size, its price, the account's leverage, ticks in money."""

    contract: float
    price: float
    leverage: int
    tick_ratio: float  # tick value by tick size


_FORMULAS: dict[int, Callable[[Lot], float]] = {
    mt5.SYMBOL_CALC_MODE_FOREX: lambda lot: lot.contract / lot.leverage,
    mt5.SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE: lambda lot: lot.contract,
    mt5.SYMBOL_CALC_MODE_CFD: lambda lot: lot.contract * lot.price,
    mt5.SYMBOL_CALC_MODE_CFDINDEX: lambda lot: lot.contract * lot.price * lot.tick_ratio,
    mt5.SYMBOL_CALC_MODE_CFDLEVERAGE: lambda lot: lot.contract * lot.price / lot.leverage,
    mt5.SYMBOL_CALC_MODE_EXCH_STOCKS: lambda lot: lot.contract * lot.price,
    # futures know `margin_initial` only, collateral reserves nothing
    mt5.SYMBOL_CALC_MODE_FUTURES: lambda _lot: 0.0,
    mt5.SYMBOL_CALC_MODE_EXCH_FUTURES: lambda _lot: 0.0,
    mt5.SYMBOL_CALC_MODE_SERV_COLLATERAL: lambda _lot: 0.0,
}


def margin_currency(instrument: Instrument) -> str:
    """Return the currency in which a lot's margin is calculated."""
    return instrument.base if instrument.calc_mode in _IN_BASE_CURRENCY else instrument.profit


def margin_of_lot(instrument: Instrument, price: float, leverage: int) -> float:
    """Return what a lot needs at a price, in the margin currency."""
    return instrument.margin_rate * (
        instrument.margin_initial or _by_formula(instrument, instrument.contract_size, price, leverage)
    )


def margin_of_pair(instrument: Instrument, price: float, leverage: int) -> float:
    """
    Return what a lot bought and a lot sold need together, in the margin currency, at the average of both prices.

    `margin_hedged` is a contract size, or an amount of money where `margin_initial` is one.
    """
    hedged = instrument.margin_hedged
    return instrument.margin_rate * (
        hedged if instrument.margin_initial else _by_formula(instrument, hedged, price, leverage)
    )


def order_margin(
    desk: Desk, symbol: Symbol, volume: float, price: float, order_type: int = mt5.ORDER_TYPE_BUY
) -> float:
    """Return the margin in USD that an order needs by itself, whatever is already open, in cents."""
    if order_type not in _MARKET_ORDERS:
        return 0.0
    return cents(_of_leg(desk, symbol, Holding(order_type, volume, volume * price)))


def margin_of(desk: Desk, symbol: Symbol, legs: Sequence[Holding]) -> float:
    """
    Return the unrounded margin in USD of what is open in a symbol: one leg, or one bought and one sold.

    Opposite positions of a hedging account: the common volume counts as pairs, at the average price of all; the rest
    counts as a part of the larger leg, at that leg's average price.
    """
    if len(legs) < len(_MARKET_ORDERS):
        return sum(_of_leg(desk, symbol, leg) for leg in legs)
    smaller, larger = sorted(legs, key=lambda leg: leg.volume)
    rest = larger.volume - smaller.volume
    return _of_leg(desk, symbol, Holding(larger.type, rest, rest * larger.price)) + _of_pairs(desk, symbol, legs)


def _of_leg(desk: Desk, symbol: Symbol, leg: Holding) -> float:
    if not leg.volume:
        return 0.0
    instrument = symbol.instrument
    needed = margin_of_lot(instrument, leg.price, desk.meta.leverage) * symbol.behaviour.margin_factor
    return leg.volume * needed * rate(desk, margin_currency(instrument), leg.type)


def _of_pairs(desk: Desk, symbol: Symbol, legs: Sequence[Holding]) -> float:
    instrument = symbol.instrument
    average = sum(leg.notional for leg in legs) / sum(leg.volume for leg in legs)
    rates = [rate(desk, margin_currency(instrument), leg.type) for leg in legs]
    needed = margin_of_pair(instrument, average, desk.meta.leverage) * symbol.behaviour.margin_factor
    return min(leg.volume for leg in legs) * needed * sum(rates) / len(rates)


def _by_formula(instrument: Instrument, contract: float, price: float, leverage: int) -> float:
    tick_ratio = instrument.tick_value / instrument.tick_size
    return _FORMULAS[instrument.calc_mode](Lot(contract, price, leverage, tick_ratio))
