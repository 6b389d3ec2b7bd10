"""The account's money: margin and profit of one order, and what all open positions add up to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.book import Meta
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.prices import DEPOSIT_CURRENCY
from worker.mt5.simulated.structs import AccountInfo, Struct, named
from worker.mt5.simulated.symbols import SYMBOLS, Instrument, Symbol

_LEVERAGED = (mt5.SYMBOL_CALC_MODE_FOREX, mt5.SYMBOL_CALC_MODE_CFDLEVERAGE)


class Holding(NamedTuple):
    """A volume in lots of one type (0 buy, 1 sell), with its notional: volume times opening price."""

    type: int
    volume: float
    notional: float


def margin_of(desk: Desk, instrument: Instrument, holding: Holding) -> float:
    """Return the margin in USD; both directions of a hedged symbol count in full."""
    if instrument.base == DEPOSIT_CURRENCY and instrument.calc_mode == mt5.SYMBOL_CALC_MODE_FOREX:
        value = holding.volume * instrument.contract_size
    else:
        value = holding.notional * instrument.contract_size * desk.usd_rate(instrument.profit)
    return value / desk.meta.leverage if instrument.calc_mode in _LEVERAGED else value * instrument.margin_rate


def order_margin(desk: Desk, symbol: Symbol, volume: float, price: float) -> float:
    """Return the margin in USD that an order needs at a price, rounded to cents."""
    holding = Holding(mt5.ORDER_TYPE_BUY, volume, volume * price)
    margin = margin_of(desk, symbol.instrument, holding)
    return round(margin * symbol.behaviour.margin_factor, 2)


def profit_of(desk: Desk, instrument: Instrument, holding: Holding, price: float) -> float:
    """Return the profit in USD if the holding were closed at the price, rounded to cents."""
    difference = price * holding.volume - holding.notional
    profit = difference * instrument.contract_size * desk.usd_rate(instrument.profit)
    return round(-profit if holding.type == mt5.POSITION_TYPE_SELL else profit, 2)


def closing_price(desk: Desk, symbol: Symbol, position_type: int) -> float:
    """Return the price at which a position of this type would be closed now."""
    return desk.touch(symbol, 1 - position_type)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the account is worth at a moment, in USD."""

    balance: float
    profit: float
    margin: float

    @property
    def equity(self) -> float:
        """Return the balance with the open positions' profit."""
        return round(self.balance + self.profit, 2)

    @property
    def free_margin(self) -> float:
        """Return what is left for new orders."""
        return round(self.equity - self.margin, 2)

    @property
    def margin_level(self) -> float:
        """Return equity in percent of the margin; 0 without any."""
        return self.equity / self.margin * 100 if self.margin else 0.0


def standing(desk: Desk) -> Standing:
    """Add up all open positions."""
    profit = margin = 0.0
    for name, *sums in desk.book.rows("SELECT * FROM exposure WHERE volume > 1e-9"):
        symbol, holding = SYMBOLS[name], Holding(*sums)
        margin += margin_of(desk, symbol.instrument, holding)
        price = closing_price(desk, symbol, holding.type)
        profit += profit_of(desk, symbol.instrument, holding, price)
    return Standing(round(desk.meta.balance, 2), round(profit, 2), round(margin, 2))


def account_info(meta: Meta, now: Standing) -> Struct:
    """Fill the package's structure."""
    return named(
        AccountInfo,
        login=meta.login,
        trade_mode=mt5.ACCOUNT_TRADE_MODE_DEMO,
        leverage=meta.leverage,
        limit_orders=0,
        margin_so_mode=mt5.ACCOUNT_STOPOUT_MODE_PERCENT,
        trade_allowed=True,
        trade_expert=True,
        margin_mode=meta.margin_mode,
        currency_digits=2,
        fifo_close=False,
        balance=now.balance,
        credit=0.0,
        profit=now.profit,
        equity=now.equity,
        margin=now.margin,
        margin_free=now.free_margin,
        margin_level=now.margin_level,
        margin_so_call=100.0,
        margin_so_so=50.0,
        margin_initial=0.0,
        margin_maintenance=0.0,
        assets=0.0,
        liabilities=0.0,
        commission_blocked=0.0,
        name="Simulated account",
        server=meta.server,
        currency=DEPOSIT_CURRENCY,
        company="Simulated Broker",
    )
