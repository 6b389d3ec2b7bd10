"""What a request is about: its symbol, and the order or the positions that it names."""

from __future__ import annotations

from dataclasses import dataclass

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.dealing.terms import OrderTerms, asked_for
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.prices.prices import Quote
from worker.mt5.simulated.structs import Struct, TradeOrder, TradePosition
from worker.mt5.simulated.symbols import SYMBOLS, Instrument, Symbol

ACCEPTABLE = 0  # what a check finds nothing against
NEW_ORDERS = (mt5.TRADE_ACTION_DEAL, mt5.TRADE_ACTION_PENDING)
_ABOUT_ORDERS = (mt5.TRADE_ACTION_MODIFY, mt5.TRADE_ACTION_REMOVE)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, with the volume it means, at the desk of the moment; `subjects` are what it names of what is open."""

    desk: Desk
    request: Struct
    symbol: Symbol
    subjects: tuple[Struct, ...] = ()

    @property
    def instrument(self) -> Instrument:
        """Return what is traded."""
        return self.symbol.instrument

    @property
    def type(self) -> int:
        """Return the type of the order, or of the position that is to be changed."""
        return int(self.request.type if self.request.action in NEW_ORDERS else self.subjects[0].type)

    @property
    def closes(self) -> bool:
        """Tell whether it is a market order that names a position to close."""
        return self.request.action == mt5.TRADE_ACTION_DEAL and bool(self.subjects)

    @property
    def quote(self) -> Quote:
        """Return the market; there is one once the feed has been checked."""
        now = self.desk.quote(self.symbol)
        if now is None:
            raise ValueError(f"{self.symbol.name} has no quote; the checks let no request about such a symbol through")
        return now

    @property
    def touch(self) -> float:
        """Return the price at which a market order would be filled."""
        return self.quote.touch(self.request.type)

    @property
    def terms(self) -> OrderTerms:
        """Return what the order or position is to stand at."""
        return asked_for(self.desk, self.instrument, self.request, self.type)


def subjects_of(desk: Desk, request: Struct) -> tuple[Struct, ...]:
    """Find the open order or the positions that a request names; fewer than it names when one is gone."""
    if request.action in _ABOUT_ORDERS:
        order = desk.book.row(TradeOrder, request.order)
        return (order,) if order and not order.time_done_msc else ()
    if request.action == mt5.TRADE_ACTION_CLOSE_BY:
        return (*_position(desk, request.position), *_position(desk, request.position_by))
    if request.action == mt5.TRADE_ACTION_PENDING:
        return ()
    if request.action == mt5.TRADE_ACTION_SLTP and not request.position and not desk.meta.hedging:
        return tuple(desk.book.select(TradePosition, "symbol = ?", (request.symbol,)))
    return _position(desk, request.position) if request.position else ()


def symbol_of(request: Struct, subjects: tuple[Struct, ...]) -> Symbol | None:
    """Return the symbol of a new order, else that of what is to be changed; None when there is no such symbol."""
    return SYMBOLS.get(request.symbol if request.action in NEW_ORDERS else subjects[0].symbol)


def _position(desk: Desk, ticket: int) -> tuple[Struct, ...]:
    position = desk.book.row(TradePosition, ticket)
    return (position,) if position else ()
