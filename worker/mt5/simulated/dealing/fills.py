"""How an order is filled at the touch of the moment: in how many deals, at which prices, and how much of it."""

from __future__ import annotations

from typing import NamedTuple

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.behaviours import TABLE, Fill
from worker.mt5.simulated.dealing import deals
from worker.mt5.simulated.dealing.deals import Terms
from worker.mt5.simulated.dealing.kinds import LIMITS
from worker.mt5.simulated.dealing.positions import closable, settle
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.money.valuation import side_of
from worker.mt5.simulated.structs import Struct
from worker.mt5.simulated.symbols import SYMBOLS

DEALS_OF_A_SPLIT_FILL = 3
PIPS_BETWEEN_DEALS = 0.5
_ORDINARY = TABLE[""]


class Filled(NamedTuple):
    """What was executed of an order: its last deal, the lots in all, their average price; nothing of it is all 0."""

    deal: int
    volume: float
    price: float


def fill(desk: Desk, order: Struct) -> Filled:
    """
    Execute what is open of an order as its symbol's behaviour says, whatever filling it asked for, and close it.

    An order to close a position executes no more than what is left of that; a limit order is never filled at a worse
    price than its own. Behaviours are about what a client sends, not about orders of the server's own.
    """
    volume = closable(desk, order, order.volume_current)
    if not volume:
        desk.close(order, mt5.ORDER_STATE_REJECTED, order.volume_current, order.position_id)
        return Filled(0, 0.0, 0.0)
    made = [_deal(desk, order, terms) for terms in _parts(desk, order, volume)]
    executed = round(sum(deal.volume for deal in made), 8)
    rest = round(order.volume_current - executed, 8)
    state = mt5.ORDER_STATE_CANCELED if rest else mt5.ORDER_STATE_FILLED
    desk.close(order, state, rest, made[-1].position_id)
    average = sum(deal.volume * deal.price for deal in made) / executed
    return Filled(made[-1].ticket, executed, round(average, SYMBOLS[order.symbol].instrument.digits))


def fill_some(desk: Desk, order: Struct, lots: float | None) -> None:
    """Execute so many lots of an order in one deal (None: all that is left of it), never more than is left."""
    left = _left(desk, order)
    volume = closable(desk, order, min(lots or left, left))
    if not volume:
        return
    terms = Terms(side_of(order.type), volume, _price(desk, order, 0.0))
    _note(desk, order, _deal(desk, order, terms), rest=round(left - volume, 8))


def _left(desk: Desk, order: Struct) -> float:
    """Return the lots without a deal; a cancelled order's own row tells only what was open when it was cancelled."""
    dealt = desk.book.value('SELECT coalesce(sum(volume), 0) FROM deals WHERE "order" = ?', (order.ticket,))
    return float(round(order.volume_initial - dealt, 8))


def _note(desk: Desk, order: Struct, deal: Struct, rest: float) -> None:
    """Write a deal down in its order's row; that of a cancelled order keeps saying that it was."""
    if order.time_done_msc:
        desk.book.amend(order, position_id=deal.position_id)
    elif rest:
        desk.book.amend(order, state=mt5.ORDER_STATE_PARTIAL, volume_current=rest, position_id=deal.position_id)
    else:
        desk.close(order, mt5.ORDER_STATE_FILLED, rest, deal.position_id)


def _deal(desk: Desk, order: Struct, terms: Terms) -> Struct:
    """Execute a part of an order: what it does to the position, and one deal that tells of it."""
    return deals.book(desk, order, terms, settle(desk, order, terms))


def _parts(desk: Desk, order: Struct, volume: float) -> list[Terms]:
    symbol, is_client_s = SYMBOLS[order.symbol], order.reason == mt5.ORDER_REASON_EXPERT
    instrument, behaviour = symbol.instrument, symbol.behaviour if is_client_s else _ORDINARY
    sizes = _sizes(behaviour.fill, instrument.steps(volume))
    return [
        Terms(
            side_of(order.type),
            instrument.lots(steps),
            _price(desk, order, behaviour.slip_pips + PIPS_BETWEEN_DEALS * place),
        )
        for place, steps in enumerate(sizes)
    ]


def _price(desk: Desk, order: Struct, worse_pips: float) -> float:
    """Return the price of a deal so many pips worse than the touch, and never worse than a limit order's own."""
    symbol, side = SYMBOLS[order.symbol], side_of(order.type)
    distance = worse_pips * symbol.instrument.pip
    price: float = symbol.instrument.rounded(desk.touch(symbol, side) + (-distance if side else distance))
    if order.type in LIMITS:
        price = max(price, order.price_open) if side else min(price, order.price_open)
    return price


def _sizes(behaviour: Fill, steps: int) -> list[int]:
    """Split volume steps into deals; a single step can be neither partly filled nor split."""
    if behaviour is Fill.PARTIAL:
        return [max(1, steps * 6 // 10)]
    if behaviour is Fill.THREE_DEALS:
        deals = min(DEALS_OF_A_SPLIT_FILL, steps)
        return [(steps + place) // deals for place in range(deals)]
    return [steps]
