"""
What things are worth in the account's currency: conversion at the market, profits, and where cents are rounded.

An amount that is booked (a deal's profit, its commission) is rounded to cents by itself, so balances are whole cents.
What is only shown (floating profit, margin) is added up unrounded and rounded once, so that ten thousand positions
cost no more than one: each position shows its own profit in cents, and the account's may differ from their sum by
half a cent a position.
"""

from __future__ import annotations

from functools import cache
from math import copysign, floor
from typing import NamedTuple

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.market import Market
from worker.mt5.simulated.prices.prices import DEPOSIT_CURRENCY
from worker.mt5.simulated.structs import Struct
from worker.mt5.simulated.symbols import SYMBOLS, Instrument, Symbol

_NOISE_DIGITS = 4  # of a cent: what is behind them is a float's own error, and never decides a tie


class Holding(NamedTuple):
    """A volume in lots of one type (0 buy, 1 sell), with its notional: volume times opening price."""

    type: int
    volume: float
    notional: float

    @property
    def price(self) -> float:
        """Return the volume-weighted opening price."""
        return self.notional / self.volume

    def part(self, volume: float) -> Holding:
        """Return so many lots of it, at the same price."""
        return Holding(self.type, volume, volume * self.price)


def cents(amount: float) -> float:
    """Round to whole cents, half a cent away from zero."""
    whole = floor(round(abs(amount) * 100, _NOISE_DIGITS) + 0.5)
    return copysign(whole / 100, amount) if whole else 0.0


def side_of(order_type: int) -> int:
    """Return 0 for every type of order that buys and 1 for every one that sells: they alternate."""
    return order_type % 2


def rate(market: Market, currency: str, side: int) -> float:
    """Return what one unit of a currency is worth in the account's, at the Ask of the pair to buy, its Bid to sell."""
    if currency == DEPOSIT_CURRENCY:
        return 1.0
    pair = _pair(currency)
    touch = market.touch(pair, side)
    return touch if pair.instrument.base == currency else 1.0 / touch


def profit_of(market: Market, instrument: Instrument, holding: Holding, price: float) -> float:
    """Return the unrounded profit if the holding were closed at a price, converted at the closing side's market."""
    if instrument.calc_mode == mt5.SYMBOL_CALC_MODE_SERV_COLLATERAL:
        return 0.0
    difference = price * holding.volume - holding.notional
    profit = difference * instrument.contract_size * rate(market, instrument.profit, 1 - holding.type)
    return -profit if holding.type == mt5.POSITION_TYPE_SELL else profit


def floating(market: Market, holding: Holding, name: str) -> tuple[float, float]:
    """Return the price at which a holding of a symbol would be closed now, and its unrounded profit there."""
    symbol = SYMBOLS[name]
    price = market.touch(symbol, 1 - holding.type)
    return price, profit_of(market, symbol.instrument, holding, price)


def holding_of(position: Struct, volume: float | None = None) -> Holding:
    """Return a position, or so many lots of it, as a holding."""
    lots = position.volume if volume is None else volume
    return Holding(position.type, lots, lots * position.price_open)


@cache
def _pair(currency: str) -> Symbol:
    """Return the pair of a currency and the account's, whichever of them is quoted in the other."""
    direct = SYMBOLS.get(currency + DEPOSIT_CURRENCY)
    return direct or SYMBOLS[DEPOSIT_CURRENCY + currency]
