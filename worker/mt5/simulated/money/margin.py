"""
What orders and positions reserve of the account's money, by the symbol's calculation mode (ENUM_SYMBOL_CALC_MODE).

The margin of a lot is in the margin currency: the base currency in the forex modes, where the price does not matter,
and the profit currency in all others. Converted is at the market of the moment: the Ask for what was bought, the Bid
for what was sold. A symbol's `margin_initial` replaces its mode's formula; futures have no other.

Only market orders need margin: the rate of pending orders is 0, as it is at many retail brokers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.market import Market
from worker.mt5.simulated.money.valuation import Holding, cents, rate
from worker.mt5.simulated.symbols import Instrument, Symbol

_IN_BASE_CURRENCY = (mt5.SYMBOL_CALC_MODE_FOREX, mt5.SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE)
_LEVERAGED = (mt5.SYMBOL_CALC_MODE_FOREX, mt5.SYMBOL_CALC_MODE_CFDLEVERAGE)
_PRICED = (
    mt5.SYMBOL_CALC_MODE_CFD,
    mt5.SYMBOL_CALC_MODE_CFDINDEX,
    mt5.SYMBOL_CALC_MODE_CFDLEVERAGE,
    mt5.SYMBOL_CALC_MODE_EXCH_STOCKS,
)
_MARKET_ORDERS = (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL)


class Need(NamedTuple):
    """What a lot needs: an amount of money, and an amount for each unit of its price."""

    fixed: float
    by_price: float

    def of(self, volume: float, notional: float) -> float:
        """Return what so many lots need."""
        return self.fixed * volume + self.by_price * notional

    def times(self, factor: float) -> Need:
        """Return a multiple of it."""
        return Need(self.fixed * factor, self.by_price * factor)


class Needs(NamedTuple):
    """What a lot needs that nothing stands against, and a lot bought and one sold together, in a currency."""

    alone: Need
    paired: Need
    currency: str


def margin_currency(instrument: Instrument) -> str:
    """Return the currency in which a lot's margin is calculated."""
    return instrument.base if instrument.calc_mode in _IN_BASE_CURRENCY else instrument.profit


@cache
def needs_of(symbol: Symbol, leverage: int) -> Needs:
    """
    Return what a symbol's positions need on an account with this leverage.

    `margin_hedged` is a contract size, or an amount of money where `margin_initial` is one.
    """
    instrument = symbol.instrument
    factor = instrument.margin_rate * symbol.behaviour.margin_factor
    if instrument.margin_initial:
        alone, paired = Need(instrument.margin_initial, 0.0), Need(instrument.margin_hedged, 0.0)
    else:
        sizes = instrument.contract_size, instrument.margin_hedged
        alone, paired = (_by_mode(instrument, contract, leverage) for contract in sizes)
    return Needs(alone.times(factor), paired.times(factor), margin_currency(instrument))


def order_margin(
    market: Market, symbol: Symbol, volume: float, price: float, order_type: int = mt5.ORDER_TYPE_BUY
) -> float:
    """Return the margin in USD that an order needs by itself, whatever is already open, in cents."""
    if order_type not in _MARKET_ORDERS:
        return 0.0
    return cents(margin_of(market, symbol, [Holding(order_type, volume, volume * price)]))


def margin_of(market: Market, symbol: Symbol, legs: Sequence[Holding]) -> float:
    """
    Return the unrounded margin in USD of what is open in a symbol: nothing, one leg, or one bought and one sold.

    Opposite positions of a hedging account: the common volume counts as pairs, at the average price of all of them;
    the rest counts as a part of the larger leg, at that leg's average price.
    """
    needs = needs_of(symbol, market.leverage)
    if len(legs) == len(_MARKET_ORDERS):
        one, other = legs
        return _hedged(market, needs, one, other) if one.volume < other.volume else _hedged(market, needs, other, one)
    return sum(needs.alone.of(leg.volume, leg.notional) * rate(market, needs.currency, leg.type) for leg in legs)


def _hedged(market: Market, needs: Needs, smaller: Holding, larger: Holding) -> float:
    larger_rate, smaller_rate = rate(market, needs.currency, larger.type), rate(market, needs.currency, smaller.type)
    volume, notional = smaller.volume + larger.volume, smaller.notional + larger.notional
    rest = needs.alone.of(larger.volume, larger.notional) * (1 - smaller.volume / larger.volume)
    pairs = needs.paired.of(volume, notional) * smaller.volume / volume
    return rest * larger_rate + pairs * (larger_rate + smaller_rate) / 2


def _by_mode(instrument: Instrument, contract: float, leverage: int) -> Need:
    mode = instrument.calc_mode
    amount = contract / leverage if mode in _LEVERAGED else contract
    if mode in _IN_BASE_CURRENCY:
        return Need(amount, 0.0)
    if mode == mt5.SYMBOL_CALC_MODE_CFDINDEX:
        amount *= instrument.tick_value / instrument.tick_size
    return Need(0.0, amount if mode in _PRICED else 0.0)
