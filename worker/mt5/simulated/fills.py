"""How an order is filled at the touch of the moment: in how many deals, at which prices, and how much of it."""

from __future__ import annotations

from typing import NamedTuple

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.behaviours import Fill
from worker.mt5.simulated.book import FIRST_DEAL
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.positions import settle
from worker.mt5.simulated.structs import Struct, TradeDeal, named
from worker.mt5.simulated.symbols import SYMBOLS, Symbol

DEALS_OF_A_SPLIT_FILL = 3
PIPS_BETWEEN_DEALS = 0.5


class Part(NamedTuple):
    """One deal to be: lots and price."""

    volume: float
    price: float


class Filled(NamedTuple):
    """What was executed of an order: its last deal, the lots in all, their average price."""

    deal: int
    volume: float
    price: float


def fill(desk: Desk, order: Struct) -> Filled:
    """Execute what is open of an order as its symbol's behaviour says, whatever filling it asked for, and close it."""
    symbol = SYMBOLS[order.symbol]
    parts = _parts(symbol, order, desk.touch(symbol, order.type))
    deals = [_deal(desk, order, part) for part in parts]
    volume = round(sum(part.volume for part in parts), 8)
    rest = round(order.volume_current - volume, 8)
    state = mt5.ORDER_STATE_CANCELED if rest else mt5.ORDER_STATE_FILLED
    desk.close(order, state, rest, deals[-1].position_id)
    average = sum(part.volume * part.price for part in parts) / volume
    return Filled(deals[-1].ticket, volume, round(average, symbol.instrument.digits))


def fill_some(desk: Desk, order: Struct, lots: float | None) -> None:
    """Execute so many lots of an order in one deal (None: all that is left of it), never more than is left."""
    left = _left(desk, order)
    volume = min(lots or left, left)
    if not volume:
        return
    part = Part(volume, desk.touch(SYMBOLS[order.symbol], order.type))
    _note(desk, order, _deal(desk, order, part), rest=round(left - volume, 8))


def _left(desk: Desk, order: Struct) -> float:
    """Return the lots without a deal; a cancelled order's own row tells only what was open when it was cancelled."""
    dealt = desk.book.value('SELECT coalesce(sum(volume), 0) FROM deals WHERE "order" = ?', (order.ticket,))
    return float(round(order.volume_initial - dealt, 8))


def _note(desk: Desk, order: Struct, deal: Struct, rest: float) -> None:
    """Write a deal down in its order's row; that of a cancelled order keeps saying that it was."""
    if order.time_done_msc:
        desk.book.change("UPDATE orders SET position_id = ? WHERE ticket = ?", (deal.position_id, order.ticket))
    elif rest:
        desk.book.change(
            "UPDATE orders SET state = ?, volume_current = ?, position_id = ? WHERE ticket = ?",
            (mt5.ORDER_STATE_PARTIAL, rest, deal.position_id, order.ticket),
        )
    else:
        desk.close(order, mt5.ORDER_STATE_FILLED, rest, deal.position_id)


def _deal(desk: Desk, order: Struct, part: Part) -> Struct:
    """Execute a part of an order: one deal, and what it does to the position."""
    effect = settle(desk, order, part.volume, part.price)
    now = desk.server_msc
    row = named(
        TradeDeal,
        ticket=desk.next_ticket("deals", FIRST_DEAL),
        order=order.ticket,
        time=now // 1000,
        time_msc=now,
        type=order.type,
        entry=effect.entry,
        magic=order.magic,
        position_id=effect.position_id,
        reason=mt5.DEAL_REASON_EXPERT,
        volume=part.volume,
        price=part.price,
        commission=-round(SYMBOLS[order.symbol].instrument.commission * part.volume, 2),
        swap=0.0,
        profit=effect.profit,
        fee=0.0,
        symbol=order.symbol,
        comment=order.comment,
        external_id="",
    )
    desk.book.insert(row)
    return row


def _parts(symbol: Symbol, order: Struct, touch: float) -> list[Part]:
    instrument, behaviour = symbol.instrument, symbol.behaviour
    worse = -instrument.pip if order.type == mt5.ORDER_TYPE_SELL else instrument.pip
    first = touch + worse * behaviour.slip_pips
    sizes = _sizes(behaviour.fill, instrument.steps(order.volume_current))
    return [
        Part(instrument.lots(steps), instrument.rounded(first + worse * PIPS_BETWEEN_DEALS * place))
        for place, steps in enumerate(sizes)
    ]


def _sizes(behaviour: Fill, steps: int) -> list[int]:
    """Split volume steps into deals; a single step can be neither partly filled nor split."""
    if behaviour is Fill.PARTIAL:
        return [max(1, steps * 6 // 10)]
    if behaviour is Fill.THREE_DEALS:
        deals = min(DEALS_OF_A_SPLIT_FILL, steps)
        return [(steps + place) // deals for place in range(deals)]
    return [steps]
