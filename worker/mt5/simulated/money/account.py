"""
The account's money: what its deals and its open positions add up to, and what a trade would change.

Balance is the sum of all deals' profit, commission, swap and fee, the opening deposit among them. Equity is balance
and floating profit, free margin is equity without margin, margin level is equity in percent of margin. Where cents are
rounded: see `valuation`.

Not simulated: credit, swaps, margins of pending orders, and the stop out. Its levels are shown, and an account below
them can open nothing, but the broker closes nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.book import Book, Meta
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.market import Market
from worker.mt5.simulated.money.margin import margin_of
from worker.mt5.simulated.money.valuation import Holding, cents, floating, holding_of
from worker.mt5.simulated.prices.prices import DEPOSIT_CURRENCY
from worker.mt5.simulated.structs import AccountInfo, Struct, TradePosition, named
from worker.mt5.simulated.symbols import SYMBOLS, Symbol

MARGIN_CALL_LEVEL = 50.0  # percent
STOP_OUT_LEVEL = 30.0
MOST_PENDING_ORDERS = 200


class Worth(NamedTuple):
    """What is open in a symbol: its unrounded profit in USD if it were closed, and the margin that it reserves."""

    profit: float
    margin: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What the account is worth at a moment, in USD and whole cents."""

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
    return desk.book.known("standing", lambda: _standing(desk, _worths(desk)), at=desk.market)


def after(desk: Desk, symbol: Symbol, trade: Holding, position: int = 0) -> Standing:
    """
    Return what the account would be worth if a trade were made now; of it only the margin changes.

    `position` is the ticket of what the trade closes on a hedging account, 0 when it opens something.
    """
    asked = desk.market, symbol, trade, position  # the check of an order asks for it twice, and its sending again
    return desk.book.known("after", lambda: _after(desk, symbol, trade, position), at=asked)


def affords(desk: Desk, symbol: Symbol, trade: Holding, position: int = 0) -> bool:
    """Tell whether there is free margin for a trade; one that closes a position or lowers the margin needs none."""
    if position and desk.meta.hedging:
        return True
    then = after(desk, symbol, trade)
    return then.free_margin >= 0 or then.margin <= standing(desk).margin


def _after(desk: Desk, symbol: Symbol, trade: Holding, position: int) -> Standing:
    worths, legs = _worths(desk), _legs(desk).get(symbol.name, ())
    profit = worths[symbol.name].profit if legs else 0.0
    margin = margin_of(desk.market, symbol, _traded(desk, legs, trade, position))
    return _standing(desk, worths | {symbol.name: Worth(profit, margin)})


def _standing(desk: Desk, worths: Mapping[str, Worth]) -> Standing:
    profit = sum(worth.profit for worth in worths.values())
    return Standing(cents(desk.meta.balance), cents(profit), cents(sum(worth.margin for worth in worths.values())))


def _legs(desk: Desk) -> dict[str, tuple[Holding, ...]]:
    """Return what is bought and what is sold of each symbol."""
    return desk.book.known("legs", lambda: _read_legs(desk.book))


def _read_legs(book: Book) -> dict[str, tuple[Holding, ...]]:
    legs: dict[str, tuple[Holding, ...]] = {}
    for name, *leg in book.rows("SELECT * FROM exposure WHERE volume > 1e-9"):  # a float's own error is no volume
        legs[name] = (*legs.get(name, ()), Holding(*leg))
    return legs


def _worths(desk: Desk) -> dict[str, Worth]:
    def read() -> dict[str, Worth]:
        return {name: _worth(desk.market, name, legs) for name, legs in _legs(desk).items()}

    return desk.book.known("worths", read, at=desk.market)


@lru_cache(maxsize=1024)  # most symbols have not been traded since the last question, which was within the same tick
def _worth(market: Market, name: str, legs: tuple[Holding, ...]) -> Worth:
    profit = sum(floating(market, leg, name)[1] for leg in legs)
    return Worth(profit, margin_of(market, SYMBOLS[name], legs))


def _traded(desk: Desk, legs: Sequence[Holding], trade: Holding, position: int) -> list[Holding]:
    """Return a symbol's legs as a trade would leave them."""
    closed = _closed(desk, legs, trade, position)
    if closed is None:
        return _with(legs, trade)
    left = _with(legs, Holding(closed.type, -closed.volume, -closed.notional))
    return _with(left, trade.part(trade.volume - closed.volume))


def _closed(desk: Desk, legs: Sequence[Holding], trade: Holding, position: int) -> Holding | None:
    """Return what a trade closes: so much of the position it names, or on a netting account of what stands against."""
    if desk.meta.hedging:
        row = desk.book.row(TradePosition, position) if position else None
        against = [holding_of(row)] if row else []
    else:
        against = [leg for leg in legs if leg.type != trade.type]
    return against[0].part(min(trade.volume, against[0].volume)) if against else None


def _with(legs: Sequence[Holding], piece: Holding) -> list[Holding]:
    """Return legs with one more piece among them, or with one less."""
    whole, others = piece, []
    for leg in legs:
        if leg.type == piece.type:
            whole = Holding(leg.type, round(leg.volume + piece.volume, 8), leg.notional + piece.notional)
        else:
            others.append(leg)
    return [whole, *others] if whole.volume else others


def account_info(meta: Meta, now: Standing) -> Struct:
    """Fill the package's structure."""
    return named(
        AccountInfo,
        login=meta.login,
        trade_mode=mt5.ACCOUNT_TRADE_MODE_DEMO,
        leverage=meta.leverage,
        limit_orders=MOST_PENDING_ORDERS,
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
        margin_so_call=MARGIN_CALL_LEVEL,
        margin_so_so=STOP_OUT_LEVEL,
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
