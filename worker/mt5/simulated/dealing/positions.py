"""
What a deal does to the account's positions (MetaTrader 5 help, "General Concept": netting and hedging).

On a hedging account every order opens a position of its own, and closes only the one whose ticket it names; it never
turns one round. On a netting account a symbol has one position: deals of its side enlarge it, at the volume-weighted
price, others reduce, close or reverse it. Stop loss and take profit are those of the last order that opened, enlarged
or reversed the position, even when it had none. A reversed position keeps its identifier and takes the ticket of the
order that reversed it.
"""

from __future__ import annotations

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.dealing import deals
from worker.mt5.simulated.dealing.deals import Effect, Terms
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.money.valuation import cents, holding_of, profit_of
from worker.mt5.simulated.structs import Struct, TradePosition, named
from worker.mt5.simulated.symbols import SYMBOLS

_MORE_DIGITS = 6  # of the average price of several deals than of the symbol's own prices


def settle(desk: Desk, order: Struct, terms: Terms) -> Effect:
    """Open, enlarge, reduce, close or reverse the position that an order's deal belongs to."""
    position = position_of(desk, order)
    if position is None:
        desk.book.insert(_opened(desk, order, terms))
        return Effect(mt5.DEAL_ENTRY_IN, order.ticket, 0.0)
    if position.type != terms.type:
        return _against(desk, order, position, terms)
    total = round(position.volume + terms.volume, 8)
    average = (position.volume * position.price_open + terms.volume * terms.price) / total
    average = round(average, SYMBOLS[order.symbol].instrument.digits + _MORE_DIGITS)
    marks = position if desk.meta.hedging else order  # a hedging position is enlarged by its own order only
    _renew(desk, position, Terms(position.type, total, average), marks, position.ticket)
    return Effect(mt5.DEAL_ENTRY_IN, position.identifier, 0.0)


def position_of(desk: Desk, order: Struct) -> Struct | None:
    """Find an order's position: on a netting account the symbol's, else the one it names or an earlier deal opened."""
    if desk.meta.hedging:
        return desk.book.row(TradePosition, order.position_id or order.ticket)
    return next(iter(desk.book.select(TradePosition, "symbol = ?", (order.symbol,))), None)


def closable(desk: Desk, order: Struct, volume: float) -> float:
    """Return how many of these lots an order may execute: of a hedging position that it closes, what is left of it."""
    if not desk.meta.hedging or order.position_id in (0, order.ticket):
        return volume
    position = position_of(desk, order)
    return min(volume, position.volume) if position else 0.0


def close_by(desk: Desk, order: Struct, position: Struct, position_by: Struct) -> Struct:
    """
    Set two opposite positions of a symbol against each other, and return the deal that has the profit.

    Both deals are made at the opening price of `position_by`, so no spread is paid. Of unequal positions the larger
    one stays, with the difference, and its own ticket, price and stops. The order ends as filled.
    """
    volume, price = min(position.volume, position_by.volume), position_by.price_open
    profit = cents(profit_of(desk.market, SYMBOLS[order.symbol].instrument, holding_of(position, volume), price))
    first, _ = [
        deals.book(
            desk,
            order,
            Terms(1 - one.type, volume, price),
            Effect(mt5.DEAL_ENTRY_OUT_BY, one.identifier, earned),
        )
        for one, earned in ((position, profit), (position_by, 0.0))
    ]
    for one in (position, position_by):
        _reduce(desk, one, volume)
    desk.close(order, mt5.ORDER_STATE_FILLED, 0.0, position.identifier)
    return first


def _against(desk: Desk, order: Struct, position: Struct, terms: Terms) -> Effect:
    closing = holding_of(position, min(terms.volume, position.volume))
    profit = cents(profit_of(desk.market, SYMBOLS[position.symbol].instrument, closing, terms.price))
    beyond = round(terms.volume - position.volume, 8)
    if beyond <= 0:
        _reduce(desk, position, terms.volume)
        return Effect(mt5.DEAL_ENTRY_OUT, position.identifier, profit)
    _renew(desk, position, Terms(terms.type, beyond, terms.price), order, order.ticket)
    return Effect(mt5.DEAL_ENTRY_INOUT, position.identifier, profit)


def _opened(desk: Desk, order: Struct, terms: Terms) -> Struct:
    now = desk.server_msc
    return named(
        TradePosition,
        ticket=order.ticket,
        time=now // 1000,
        time_msc=now,
        time_update=now // 1000,
        time_update_msc=now,
        type=terms.type,
        magic=order.magic,
        identifier=order.ticket,
        reason=order.reason,  # the reasons of orders and positions have the same numbers
        volume=terms.volume,
        price_open=terms.price,
        sl=order.sl,
        tp=order.tp,
        price_current=terms.price,
        swap=0.0,
        profit=0.0,
        symbol=order.symbol,
        comment=order.comment,
        external_id="",
    )


def _reduce(desk: Desk, position: Struct, volume: float) -> None:
    """Take lots away, and the position with the last of them."""
    left = round(position.volume - volume, 8)
    if not left:
        desk.book.delete(position)
        return
    now = desk.server_msc
    desk.book.amend(position, volume=left, time_update=now // 1000, time_update_msc=now)


def _renew(desk: Desk, position: Struct, terms: Terms, marks: Struct, ticket: int) -> None:
    """Give a position other terms, and the stops, magic and comment of `marks`: an order, or itself to keep its own."""
    now = desk.server_msc
    desk.book.amend(
        position,
        ticket=ticket,
        time_update=now // 1000,
        time_update_msc=now,
        type=terms.type,
        volume=terms.volume,
        price_open=terms.price,
        magic=marks.magic,
        reason=marks.reason,
        sl=marks.sl,
        tp=marks.tp,
        comment=marks.comment,
    )
