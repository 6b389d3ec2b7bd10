"""What the server does with a request: refuse it, fail it, or do it, each as the symbol's suffix says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from worker.domain.token import trade_of
from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.behaviours import Cancel, Reply
from worker.mt5.simulated.book import stored
from worker.mt5.simulated.dealing import exits, pending, positions, schedule
from worker.mt5.simulated.dealing.asked import NEW_ORDERS, Asked
from worker.mt5.simulated.dealing.checks import examine
from worker.mt5.simulated.dealing.fills import fill
from worker.mt5.simulated.dealing.kinds import PENDING
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.prices.prices import Quote
from worker.mt5.simulated.structs import Struct
from worker.mt5.simulated.symbols import SYMBOLS, Symbol

_FOUND_OUT_BY_THE_SERVER = (mt5.TRADE_RETCODE_REQUOTE, mt5.TRADE_RETCODE_NO_MONEY)


@dataclass(frozen=True, slots=True)
class Answer:
    """
    The truth about a request, and how it is to be told; a volume in lots.

    What the terminal refuses by itself has no quote and no number (`by_terminal`): it never reached the server.
    """

    retcode: int
    reply: Reply = Reply.TRUE
    order: int = 0
    deal: int = 0
    volume: float = 0.0
    price: float = 0.0
    quote: Quote | None = None
    by_terminal: bool = False


def handle(desk: Desk, request: Struct) -> Answer:
    """Do what a request asks for; the caller holds the transaction."""
    asked = examine(desk, request)
    if isinstance(asked, int):
        return _refused(desk, request, asked)
    return _failure(asked) or _ACTIONS[request.action](asked)


def jumped(symbol: Symbol, order_type: int, quote: Quote) -> Quote:
    """Return the quote after the symbol's price has jumped against an order of this type."""
    distance = symbol.behaviour.jump_pips * symbol.instrument.pip
    return quote.moved(-distance if order_type == mt5.ORDER_TYPE_SELL else distance, symbol.instrument)


def _refused(desk: Desk, request: Struct, code: int) -> Answer:
    if code in _FOUND_OUT_BY_THE_SERVER:
        return Answer(code, quote=desk.quote(SYMBOLS[request.symbol]))
    return Answer(code, by_terminal=True)


def _failure(asked: Asked) -> Answer | None:
    """Fail the first sends of a trade as its symbol's behaviour says; no pending order is ever requoted."""
    symbol, request, failure = asked.symbol, asked.request, asked.symbol.behaviour.failure
    is_requote = failure == mt5.TRADE_RETCODE_REQUOTE
    if request.action not in NEW_ORDERS or (is_requote and request.action == mt5.TRADE_ACTION_PENDING):
        return None
    if _has_failed_enough(asked.desk, symbol, request.magic):
        return None
    if isinstance(failure, Reply):
        return Answer(mt5.TRADE_RETCODE_ERROR, reply=failure)
    return Answer(failure, quote=jumped(symbol, request.type, asked.quote))


def _has_failed_enough(desk: Desk, symbol: Symbol, magic: int) -> bool:
    """Tell whether this send may succeed, else count it: for the trade, whatever the attempt bits of its magic."""
    limit = symbol.behaviour.failing_sends
    if limit in (0, inf):
        return limit == 0
    key = (stored(trade_of(magic)), symbol.name)
    failed = desk.book.value("SELECT failed FROM sends WHERE trade = ? AND symbol = ?", key)
    if failed is not None and failed >= limit:
        return True
    desk.book.note("INSERT INTO sends VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET failed = failed + 1", key)
    return False


def _deal(asked: Asked) -> Answer:
    order = asked.desk.accept(asked.symbol, asked.request, position_id=asked.request.position, **_stops(asked))
    filled = pending.execute(asked.desk, asked.symbol, order)
    if filled is None:
        return Answer(mt5.TRADE_RETCODE_PLACED, order=order.ticket, volume=asked.request.volume, quote=asked.quote)
    whole = filled.volume == order.volume_initial
    code = mt5.TRADE_RETCODE_DONE if whole else mt5.TRADE_RETCODE_DONE_PARTIAL
    reply = asked.symbol.behaviour.reply
    return Answer(code, reply, order.ticket, filled.deal, filled.volume, filled.price, asked.quote)


def _stops(asked: Asked) -> dict[str, float]:
    """Return the stops that a market order gives its position; one that closes a position gives none."""
    if asked.closes or not (asked.request.sl or asked.request.tp):
        return {}
    return {"sl": asked.terms.sl, "tp": asked.terms.tp}


def _place(asked: Asked) -> Answer:
    order = pending.place(asked.desk, asked.symbol, asked.request, asked.terms)
    reply, volume = asked.symbol.behaviour.reply, order.volume_initial
    return Answer(mt5.TRADE_RETCODE_DONE, reply, order.ticket, volume=volume, quote=asked.quote)


def _set_stops(asked: Asked) -> Answer:
    exits.set_stops(asked.desk, asked.subjects[0], asked.terms.sl, asked.terms.tp)
    return Answer(mt5.TRADE_RETCODE_DONE)


def _modify(asked: Asked) -> Answer:
    (order,) = asked.subjects
    pending.change(asked.desk, order, asked.terms)
    return Answer(mt5.TRADE_RETCODE_DONE, order=order.ticket)


def _remove(asked: Asked) -> Answer:
    """Cancel an open order; what a suffix says of cancelling is about orders that are being executed already."""
    desk, (order,) = asked.desk, asked.subjects
    behaviour = asked.symbol.behaviour
    cancel = Cancel.CONFIRMED if order.type in PENDING else behaviour.cancel
    if cancel is Cancel.FILLED_FIRST:
        fill(desk, order)
        return Answer(mt5.TRADE_RETCODE_ORDER_CHANGED, order=order.ticket)
    for event in (schedule.FILL, schedule.LOOK, schedule.EXPIRE):
        schedule.forget(desk, event, order)
    if cancel is Cancel.DEAL_FOLLOWS:
        schedule.later(desk, behaviour.deal_follows_after_ms, schedule.DEAL, order)
    desk.close(order, mt5.ORDER_STATE_CANCELED, order.volume_current, order.position_id)
    return Answer(mt5.TRADE_RETCODE_DONE, order=order.ticket)


def _close_by(asked: Asked) -> Answer:
    desk, (position, position_by) = asked.desk, asked.subjects
    volume = min(position.volume, position_by.volume)
    order = desk.accept(
        asked.symbol,
        asked.request,
        type=mt5.ORDER_TYPE_CLOSE_BY,
        position_id=position.ticket,
        position_by_id=position_by.ticket,
        volume_initial=volume,
        volume_current=volume,
        price_open=position_by.price_open,
        comment=f"close #{position.ticket} by #{position_by.ticket}",
    )
    deal = positions.close_by(desk, order, position, position_by)
    return Answer(mt5.TRADE_RETCODE_DONE, order=order.ticket, deal=deal.ticket, volume=volume, price=deal.price)


_ACTIONS: dict[int, Callable[[Asked], Answer]] = {
    mt5.TRADE_ACTION_DEAL: _deal,
    mt5.TRADE_ACTION_PENDING: _place,
    mt5.TRADE_ACTION_SLTP: _set_stops,
    mt5.TRADE_ACTION_MODIFY: _modify,
    mt5.TRADE_ACTION_REMOVE: _remove,
    mt5.TRADE_ACTION_CLOSE_BY: _close_by,
}
