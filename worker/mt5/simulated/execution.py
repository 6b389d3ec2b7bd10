"""What the server does with a request: refuse it, fail it, execute it, cancel an order, each as the suffix says."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from worker.domain.token import trade_of
from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated import schedule
from worker.mt5.simulated.behaviours import Cancel, Fill, Reply
from worker.mt5.simulated.book import stored
from worker.mt5.simulated.checks import environment, refusal
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.fills import fill
from worker.mt5.simulated.prices import Quote
from worker.mt5.simulated.structs import Struct, TradeOrder
from worker.mt5.simulated.symbols import SYMBOLS, Symbol


@dataclass(frozen=True, slots=True)
class Answer:
    """The truth about a request, and how it is to be told; a volume in lots."""

    retcode: int
    reply: Reply = Reply.TRUE
    order: int = 0
    deal: int = 0
    volume: float = 0.0
    price: float = 0.0
    quote: Quote | None = None


def handle(desk: Desk, request: Struct) -> Answer:
    """Do what a request asks for; the caller holds the transaction."""
    if request.action == mt5.TRADE_ACTION_REMOVE:
        return _remove(desk, request)
    code = refusal(desk, request)
    symbol = SYMBOLS.get(request.symbol)
    if symbol is None:
        return Answer(code)
    if code:
        return Answer(code, quote=desk.quote(symbol))
    return _failure(desk, symbol, request) or _executed(desk, symbol, request)


def jumped(symbol: Symbol, order_type: int, quote: Quote) -> Quote:
    """Return the quote after the symbol's price has jumped against an order of this type."""
    distance = symbol.behaviour.jump_pips * symbol.instrument.pip
    return quote.moved(-distance if order_type == mt5.ORDER_TYPE_SELL else distance, symbol.instrument)


def _failure(desk: Desk, symbol: Symbol, request: Struct) -> Answer | None:
    failure = symbol.behaviour.failure
    if _has_failed_enough(desk, symbol, request.magic):
        return None
    if isinstance(failure, Reply):
        return Answer(mt5.TRADE_RETCODE_ERROR, reply=failure)
    quote = desk.quote(symbol)
    return Answer(failure, quote=quote and jumped(symbol, request.type, quote))


def _has_failed_enough(desk: Desk, symbol: Symbol, magic: int) -> bool:
    """Tell whether this send may succeed, else count it: for the trade, whatever the attempt bits of its magic."""
    limit = symbol.behaviour.failing_sends
    if limit in (0, inf):
        return limit == 0
    key = (stored(trade_of(magic)), symbol.name)
    failed = desk.book.value("SELECT failed FROM sends WHERE trade = ? AND symbol = ?", key)
    if failed is not None and failed >= limit:
        return True
    desk.book.change("INSERT INTO sends VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET failed = failed + 1", key)
    return False


def _executed(desk: Desk, symbol: Symbol, request: Struct) -> Answer:
    behaviour = symbol.behaviour
    order = desk.accept(symbol, request)
    quote = desk.quote(symbol)
    if behaviour.fill is Fill.LATER:
        if behaviour.fills_after_ms is not None:
            schedule.later(desk, behaviour.fills_after_ms, schedule.FILL, order)
        return Answer(mt5.TRADE_RETCODE_PLACED, order=order.ticket, volume=request.volume, quote=quote)
    if behaviour.visible_after_ms:
        schedule.later(desk, behaviour.visible_after_ms, schedule.REVEAL, order)
    deal, volume, price = fill(desk, order)
    whole = volume == order.volume_initial
    code = mt5.TRADE_RETCODE_DONE if whole else mt5.TRADE_RETCODE_DONE_PARTIAL
    return Answer(code, behaviour.reply, order.ticket, deal, volume, price, quote)


def _remove(desk: Desk, request: Struct) -> Answer:
    """Cancel an open order; one that is no longer open, or never was, is an invalid request (10013)."""
    code = environment(desk)
    if code:
        return Answer(code)
    found = desk.book.select(TradeOrder, "ticket = ? AND time_done_msc = 0", (request.order,))
    if not found:
        return Answer(mt5.TRADE_RETCODE_INVALID, order=request.order)
    return _cancelled(desk, found[0])


def _cancelled(desk: Desk, order: Struct) -> Answer:
    behaviour = SYMBOLS[order.symbol].behaviour
    if behaviour.cancel is Cancel.FILLED_FIRST:
        fill(desk, order)
        return Answer(mt5.TRADE_RETCODE_ORDER_CHANGED, order=order.ticket)
    schedule.forget(desk, schedule.FILL, order)
    if behaviour.cancel is Cancel.DEAL_FOLLOWS:
        schedule.later(desk, behaviour.deal_follows_after_ms, schedule.DEAL, order)
    desk.close(order, mt5.ORDER_STATE_CANCELED, order.volume_current, order.position_id)
    return Answer(mt5.TRADE_RETCODE_DONE, order=order.ticket)
