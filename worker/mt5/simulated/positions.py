"""What a deal does to the account's positions, on a hedging account and on a netting one."""

from __future__ import annotations

from typing import NamedTuple

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.account import Holding, profit_of
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.structs import Struct, TradePosition, named
from worker.mt5.simulated.symbols import SYMBOLS


class Effect(NamedTuple):
    """How a deal entered the position with that identifier, and the profit it realized in USD."""

    entry: int
    position_id: int
    profit: float


def settle(desk: Desk, order: Struct, volume: float, price: float) -> Effect:
    """Open, enlarge, reduce, close or reverse the position that an order's deal belongs to."""
    position = _of(desk, order)
    if position is None:
        desk.book.insert(_opened(desk, order, volume, price))
        return Effect(mt5.DEAL_ENTRY_IN, order.ticket, 0.0)
    if position.type != order.type:
        return _against(desk, position, volume, price)
    total = round(position.volume + volume, 8)
    average = (position.volume * position.price_open + volume * price) / total
    _update(desk, position, (position.type, total, average))
    return Effect(mt5.DEAL_ENTRY_IN, position.identifier, 0.0)


def _of(desk: Desk, order: Struct) -> Struct | None:
    """Find the position: on a netting account the symbol's, else the one asked for or opened by an earlier deal."""
    if desk.meta.hedging:
        found = desk.book.select(TradePosition, "ticket = ?", (order.position_id or order.ticket,))
    else:
        found = desk.book.select(TradePosition, "symbol = ?", (order.symbol,))
    return found[0] if found else None


def _against(desk: Desk, position: Struct, volume: float, price: float) -> Effect:
    closing = min(volume, position.volume)
    holding = Holding(position.type, closing, closing * position.price_open)
    profit = profit_of(desk, SYMBOLS[position.symbol].instrument, holding, price)
    left = round(position.volume - volume, 8)
    if left > 0:
        _update(desk, position, (position.type, left, position.price_open))
    elif left == 0:
        desk.book.change("DELETE FROM positions WHERE ticket = ?", (position.ticket,))
    else:
        _update(desk, position, (1 - position.type, -left, price))
    return Effect(mt5.DEAL_ENTRY_INOUT if left < 0 else mt5.DEAL_ENTRY_OUT, position.identifier, profit)


def _opened(desk: Desk, order: Struct, volume: float, price: float) -> Struct:
    now = desk.server_msc
    return named(
        TradePosition,
        ticket=order.ticket,
        time=now // 1000,
        time_msc=now,
        time_update=now // 1000,
        time_update_msc=now,
        type=order.type,
        magic=order.magic,
        identifier=order.ticket,
        reason=mt5.POSITION_REASON_EXPERT,
        volume=volume,
        price_open=price,
        sl=0.0,
        tp=0.0,
        price_current=price,
        swap=0.0,
        profit=0.0,
        symbol=order.symbol,
        comment=order.comment,
        external_id="",
    )


def _update(desk: Desk, position: Struct, terms: tuple[int, float, float]) -> None:
    now = desk.server_msc
    desk.book.change(
        "UPDATE positions SET type = ?, volume = ?, price_open = ?, time_update = ?, time_update_msc = ? "
        "WHERE ticket = ?",
        (*terms, now // 1000, now, position.ticket),
    )
