"""The child's only way to the broker: one order is checked and sent, or one cancelled, and everything is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from worker.domain.errors import TerminalUnavailable
from worker.domain.instrument import Instrument, plain
from worker.domain.market import CancelReport, NotSentReason, OrderRequest, SendReport, SendStatus
from worker.domain.outcomes import API_DISABLED, INVALID_ARGUMENT, PIPE_WAS_CLOSED
from worker.mt5 import order_request, readings
from worker.mt5.link import Link
from worker.mt5.quotes import Quotes
from worker.mt5.wire import CancelRequest

_CHECK_PASSED = 0
_WRONG_FILLING = 10030


class _NotSent(Exception):
    """Why `order_send` is not called."""

    def __init__(self, reason: NotSentReason, detail: str, *, retcode: int | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.retcode = retcode


class Sender:
    """Sends orders. Every doubt before `order_send` means not sent; every doubt after it is left to the reader."""

    def __init__(
        self,
        link: Link,
        quotes: Quotes,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._quotes = quotes
        self._now = now
        self._monotonic = monotonic

    def submit(self, order: OrderRequest) -> SendReport:
        """Send one order, if its deadline, the terminal, the account, `order_check` and the price all allow it."""
        try:
            request = self._checked(order)
        except _NotSent as refusal:
            return SendReport(SendStatus.NOT_SENT, refusal.reason, retcode=refusal.retcode, detail=str(refusal))
        except TerminalUnavailable as error:
            return SendReport(SendStatus.NOT_SENT, NotSentReason.TERMINAL, detail=str(error))
        return self._send(request)

    def cancel(self, request: CancelRequest) -> CancelReport:
        """Ask the broker to cancel an order; raises TerminalUnavailable when the request certainly did not leave."""
        health = self._link.health()
        if health.problem is not None:
            raise TerminalUnavailable(f"order {request.ticket} was not cancelled: {health.problem}")
        wanted = order_request.removal(request.ticket, request.symbol)
        result, code, text = self._link.send(wanted)
        if result is not None:
            return CancelReport(result.retcode, None, result.comment, wanted, readings.as_json(result))
        if code in {PIPE_WAS_CLOSED, API_DISABLED, INVALID_ARGUMENT}:
            raise TerminalUnavailable(f"order {request.ticket} was not cancelled: {text} ({code})")
        return CancelReport(None, code, text, wanted)

    def _checked(self, order: OrderRequest) -> dict[str, Any]:
        self._in_time(order)
        self._may_trade(order)
        instrument = self._quotes.known_instrument(order.symbol)
        if instrument is None:
            raise _NotSent(NotSentReason.INVALID_REQUEST, f"the broker has no symbol {order.symbol}")
        filling = self._pass_order_check(order, instrument, self._touch(order, instrument))
        # The check takes time of its own: the price that counts is the one after it.
        request = order_request.market_order(order, instrument, self._touch(order, instrument), filling)
        self._in_time(order)
        return request

    def _in_time(self, order: OrderRequest) -> None:
        late = max((self._now() - order.send_before).total_seconds(), self._monotonic() - order.send_before_monotonic)
        if late > 0:
            raise _NotSent(NotSentReason.DEADLINE, f"the deadline of this send passed {late:.3f} s ago")

    def _may_trade(self, order: OrderRequest) -> None:
        health = self._link.health()
        if health.login and (health.login, health.server) != (order.login, order.server):
            raise _NotSent(
                NotSentReason.WRONG_ACCOUNT,
                f"the terminal is logged in to {health.login} at {health.server}, "
                f"this order is for {order.login} at {order.server}",
            )
        if health.problem is not None:
            raise _NotSent(NotSentReason.TERMINAL, health.problem)

    def _touch(self, order: OrderRequest, instrument: Instrument) -> Decimal:
        tick = self._quotes.tick(instrument)
        if tick is None:
            raise _NotSent(NotSentReason.NO_PRICE, f"the terminal has no price for {order.symbol}")
        touch = tick.touch(order.direction)
        beyond = (touch - order.worst_price) * int(order.direction)
        if beyond > 0:
            raise _NotSent(
                NotSentReason.PRICE_MOVED,
                f"the price is {plain(touch)} now, {plain(beyond)} beyond the worst allowed {plain(order.worst_price)}",
            )
        return touch

    def _pass_order_check(self, order: OrderRequest, instrument: Instrument, touch: Decimal) -> int:
        verdict: Any = None
        for filling in order_request.fillings(instrument):
            verdict = self._link.call("order_check", order_request.market_order(order, instrument, touch, filling))
            if verdict is None:
                raise self._check_failed()
            if verdict.retcode == _CHECK_PASSED:
                return filling
            if verdict.retcode != _WRONG_FILLING:
                break
        raise _NotSent(
            NotSentReason.CHECK_FAILED,
            f"order_check refused with {verdict.retcode}: {verdict.comment}",
            retcode=verdict.retcode,
        )

    def _check_failed(self) -> _NotSent:
        code, text = self._link.module.last_error()
        reason = NotSentReason.INVALID_REQUEST if code == INVALID_ARGUMENT else NotSentReason.CHECK_FAILED
        return _NotSent(reason, f"order_check gave no answer: {text} ({code})")

    def _send(self, request: dict[str, Any]) -> SendReport:
        sent_at = self._now()
        result, code, text = self._link.send(request)
        answered_at = self._now()
        if result is None:
            return SendReport(
                SendStatus.NO_ANSWER,
                last_error=code,
                detail=text,
                request=request,
                sent_at=sent_at,
                answered_at=answered_at,
            )
        return SendReport(
            SendStatus.ANSWERED,
            retcode=result.retcode,
            order_ticket=result.order,
            deal_ticket=result.deal,
            detail=result.comment,
            request=request,
            reply=readings.as_json(result),
            sent_at=sent_at,
            answered_at=answered_at,
        )
