"""The package's functions that check and send orders."""

from __future__ import annotations

import time

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.behaviours import Reply
from worker.mt5.simulated.dealing.asked import ACCEPTABLE, Asked
from worker.mt5.simulated.dealing.checks import examine
from worker.mt5.simulated.dealing.execution import Answer, handle
from worker.mt5.simulated.money.account import Standing, after, standing
from worker.mt5.simulated.money.valuation import Holding
from worker.mt5.simulated.package import arguments
from worker.mt5.simulated.package.failures import WORDS, api_disabled, broken_pipe
from worker.mt5.simulated.package.pipe import Calls, Pipe, call
from worker.mt5.simulated.structs import OrderCheckResult, OrderSendResult, Struct, named

_NOTHING = Standing(0.0, 0.0, 0.0)  # a refused check says nothing about the account


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
        asked = examine(desk, request)
        if isinstance(asked, int):
            return _checked(asked, _NOTHING, request)
        if asked.symbol.behaviour.jump_pips:
            self.pipe.jumps[asked.symbol.name] = request.type
        return _checked(ACCEPTABLE, _then(asked), request)

    @call
    def order_send(self, *args: object, **fields: object) -> Struct:
        """Send a request to the server. What the reply says, and whether there is one, is the symbol's behaviour."""
        request = arguments.trade_request(args, fields)
        self.pipe.book.refresh()
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
        if answer.by_terminal:
            return _result(answer, request, 0)
        self._requests += 1
        return _result(answer, request, self._requests)


def _then(asked: Asked) -> Standing:
    """Return what the account would be worth; only a market order changes its margin."""
    if asked.request.action != mt5.TRADE_ACTION_DEAL:
        return standing(asked.desk)
    volume = asked.request.volume
    return after(asked.desk, asked.symbol, Holding(asked.type, volume, volume * asked.touch), asked.request.position)


def _checked(code: int, account: Standing, request: Struct) -> Struct:
    return named(
        OrderCheckResult,
        retcode=code,
        balance=account.balance,
        equity=account.equity,
        profit=account.profit,
        margin=account.margin,
        margin_free=account.free_margin,
        margin_level=account.margin_level,
        comment=WORDS[code],
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
        comment=WORDS[code],
        request_id=number,
        retcode_external=0,
        request=request,
    )
