"""The package's functions that check and send orders."""

from __future__ import annotations

import time
from dataclasses import replace

from worker.mt5.simulated import arguments
from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.account import Standing, standing
from worker.mt5.simulated.behaviours import Reply
from worker.mt5.simulated.checks import ACCEPTABLE, refusal
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.execution import Answer, handle
from worker.mt5.simulated.failures import api_disabled, broken_pipe
from worker.mt5.simulated.margin import order_margin
from worker.mt5.simulated.pipe import Calls, Pipe, call
from worker.mt5.simulated.structs import OrderCheckResult, OrderSendResult, Struct, named
from worker.mt5.simulated.symbols import SYMBOLS, Symbol

_WORDS = {
    ACCEPTABLE: "Done",
    mt5.TRADE_RETCODE_REQUOTE: "Requote",
    mt5.TRADE_RETCODE_REJECT: "Request rejected",
    mt5.TRADE_RETCODE_PLACED: "Order placed",
    mt5.TRADE_RETCODE_DONE: "Request executed",
    mt5.TRADE_RETCODE_DONE_PARTIAL: "Request executed partially",
    mt5.TRADE_RETCODE_TIMEOUT: "Request timed out",
    mt5.TRADE_RETCODE_INVALID: "Invalid request",
    mt5.TRADE_RETCODE_INVALID_VOLUME: "Invalid volume",
    mt5.TRADE_RETCODE_TRADE_DISABLED: "Trade is disabled",
    mt5.TRADE_RETCODE_MARKET_CLOSED: "Market closed",
    mt5.TRADE_RETCODE_NO_MONEY: "No money",
    mt5.TRADE_RETCODE_PRICE_OFF: "No prices",
    mt5.TRADE_RETCODE_ORDER_CHANGED: "Order state changed",
    mt5.TRADE_RETCODE_CLIENT_DISABLES_AT: "AutoTrading disabled by client",
    mt5.TRADE_RETCODE_INVALID_FILL: "Unsupported filling mode",
    mt5.TRADE_RETCODE_CONNECTION: "No connection",
    mt5.TRADE_RETCODE_LIMIT_VOLUME: "Volume limit reached",
    mt5.TRADE_RETCODE_POSITION_CLOSED: "Position closed",
    mt5.TRADE_RETCODE_INVALID_CLOSE_VOLUME: "Invalid close volume",
    mt5.TRADE_RETCODE_CLOSE_ONLY: "Only position closing is allowed",
}


class TradingCalls(Calls):
    """`order_check`, `order_send`."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__(pipe)
        self._requests = 0

    @call
    def order_check(self, *args: object, **fields: object) -> Struct:
        """Tell whether a request would be accepted, and what it would do to the margin."""
        request = arguments.trade_request(args, fields)
        desk = self.pipe.desk()
        code = refusal(desk, request)
        symbol = SYMBOLS.get(request.symbol)
        if symbol is not None and symbol.behaviour.jump_pips:
            self.pipe.jumps[symbol.name] = request.type
        needed = _needed(desk, symbol, request) if code == ACCEPTABLE and symbol is not None else 0.0
        return _checked(code, standing(desk), needed, request)

    @call
    def order_send(self, *args: object, **fields: object) -> Struct:
        """Send a request to the server. What the reply says, and whether there is one, is the symbol's behaviour."""
        request = arguments.trade_request(args, fields)
        meta = self.pipe.book.meta()
        if meta.tradeapi_disabled:
            raise api_disabled()
        if meta.latency_ms:
            time.sleep(meta.latency_ms / 1000)
        with self.pipe.writing_desk() as desk:
            answer = handle(desk, request)
        if answer.reply is Reply.LOST:
            self.pipe.disconnect()
            raise broken_pipe()
        if answer.reply is Reply.NEVER:
            _hang()
        self._requests += 1
        return _result(answer, request, self._requests)


def _needed(desk: Desk, symbol: Symbol, request: Struct) -> float:
    return order_margin(desk, symbol, request.volume, desk.touch(symbol, request.type))


def _checked(code: int, now: Standing, needed: float, request: Struct) -> Struct:
    after = replace(now, margin=round(now.margin + needed, 2))
    return named(
        OrderCheckResult,
        retcode=code,
        balance=after.balance,
        equity=after.equity,
        profit=after.profit,
        margin=after.margin,
        margin_free=after.free_margin,
        margin_level=after.margin_level,
        comment=_WORDS[code],
        request=request,
    )


def _hang() -> None:
    """Never return, as a pipe without a time limit does; the book is not locked meanwhile."""
    while True:
        time.sleep(3600)


def _result(answer: Answer, request: Struct, number: int) -> Struct:
    bid, ask = (answer.quote.bid, answer.quote.ask) if answer.quote else (0.0, 0.0)
    code, deal, order, volume, price = answer.retcode, answer.deal, answer.order, answer.volume, answer.price
    if answer.reply is Reply.TIMEOUT:
        code, deal, order, volume, price = mt5.TRADE_RETCODE_TIMEOUT, 0, 0, 0.0, 0.0
    elif answer.reply is Reply.VAGUE:
        deal, price = 0, 0.0
    return named(
        OrderSendResult,
        retcode=code,
        deal=deal,
        order=order,
        volume=volume,
        price=price,
        bid=bid,
        ask=ask,
        comment=_WORDS[code],
        request_id=number,
        retcode_external=0,
        request=request,
    )
