"""The child's side of a canary: it looks, and times its looks. What is sent goes the way of every order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from worker.domain.errors import TerminalUnavailable
from worker.domain.market import BrokerDeal, BrokerOrder, BrokerPosition, OrderRequest
from worker.domain.token import COMMENT_LENGTH
from worker.mt5 import order_request, readings
from worker.mt5.canary import questions
from worker.mt5.canary.questions import Survey, TicketRequest, TraceRequest, Traces
from worker.mt5.findings import Look
from worker.mt5.link import Link
from worker.mt5.quotes import Quotes
from worker.mt5.server_clock import ServerClock
from worker.mt5.wire import Command

_FILLINGS = (0, 1, 2)  # ORDER_FILLING_FOK, IOC, RETURN: those that a market order may have

_Record = TypeVar("_Record", BrokerOrder, BrokerDeal, BrokerPosition)


class _Timed:
    """Calls the package's functions and remembers how long the last call of each took (ms)."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.milliseconds: dict[str, float] = {}

    def call(self, function: str, *arguments: Any, **named: Any) -> Any:
        with self._measured(function):
            return self._link.call(function, *arguments, **named)

    def rows(self, function: str, *arguments: Any, **named: Any) -> tuple[Any, ...] | None:
        with self._measured(function):
            return self._link.rows(function, *arguments, **named)

    @contextmanager
    def _measured(self, function: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.milliseconds[function] = round((time.perf_counter() - began) * 1000, 3)


class Observer:
    """Answers a canary's questions. It changes nothing at the broker."""

    def __init__(
        self, link: Link, quotes: Quotes, clock: ServerClock, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._link = link
        self._quotes = quotes
        self._clock = clock
        self._now = now

    def commands(self) -> Mapping[str, tuple[Command[Any, Any], Callable[[Any], Any]]]:
        """Return what it can be asked, by name."""
        answers: tuple[tuple[Command[Any, Any], Callable[[Any], Any]], ...] = (
            (questions.SURVEY, self.survey),
            (questions.TRACES, self.traces),
            (questions.TICKETS, self.tickets),
        )
        return {command.name: (command, answer) for command, answer in answers}

    def survey(self, order: OrderRequest) -> Survey:
        """Ask what the broker would say to this order, and what stands open on its symbol."""
        timed = _Timed(self._link)
        for function in ("terminal_info", "account_info"):
            timed.call(function)
        timed.call("symbol_info_tick", order.symbol)
        checks = self._checks(timed, order)
        positions, orders = (timed.rows(name, symbol=order.symbol) for name in ("positions_get", "orders_get"))
        if positions is None or orders is None:
            raise TerminalUnavailable(f"the terminal does not say what stands open on {order.symbol}")
        offset = self._clock.offset
        seconds = None if offset is None else offset.total_seconds()
        return Survey(seconds, checks, len(positions), len(orders), timed.milliseconds)

    def traces(self, request: TraceRequest) -> Traces:
        """Look once at everything that came of an order, through the window that the worker looks through."""
        timed, window = _Timed(self._link), self._clock.window(request.since, self._now())
        # In this order: an order that ends while we look is then seen twice, never not at all.
        look = Look(
            working=timed.rows("orders_get", symbol=request.symbol),
            positions=timed.rows("positions_get", symbol=request.symbol),
            ended=timed.rows("history_orders_get", *window),
            dealt=timed.rows("history_deals_get", *window),
        )
        return self._told(request, look, timed.milliseconds)

    def tickets(self, request: TicketRequest) -> str:
        """Tell whether `history_deals_get(ticket=)` takes an order's ticket or a deal's; the two must differ."""
        by_order, by_deal = (
            self._link.rows("history_deals_get", ticket=ticket) or () for ticket in (request.order, request.deal)
        )
        takes_order = any(row.order == request.order for row in by_order)
        takes_deal = any(row.ticket == request.deal for row in by_deal)
        if takes_order and takes_deal:
            return "either"
        return "order" if takes_order else "deal" if takes_deal else "neither"

    def _checks(self, timed: _Timed, order: OrderRequest) -> dict[int, int | None]:
        instrument = self._quotes.known_instrument(order.symbol)
        tick = None if instrument is None else self._quotes.tick(instrument)
        if instrument is None or tick is None:
            raise TerminalUnavailable(f"the terminal has no price for {order.symbol}")
        touch, codes = tick.touch(order.direction), dict[int, int | None]()
        for filling in _FILLINGS:
            verdict = timed.call("order_check", order_request.market_order(order, instrument, touch, filling))
            codes[filling] = None if verdict is None else int(verdict.retcode)
        return codes

    def _told(self, request: TraceRequest, look: Look, milliseconds: Mapping[str, float]) -> Traces:
        working = next((row for row in look.working or () if _is_it(row, row.ticket, request)), None)
        ended = next((row for row in look.ended or () if _is_it(row, row.ticket, request)), None)
        deals = [row for row in look.dealt or () if row.type in readings.TRADES and _is_it(row, row.order, request)]
        # A position is known by the order that opened it: whatever it carries is what is to be found out.
        position = next((row for row in look.positions or () if _is_it(row, row.identifier, request)), None)
        return Traces(
            look.unreadable,
            None if working is None else _as_marked(readings.order(working, historical=False), working),
            None if ended is None else _as_marked(readings.order(ended, historical=True), ended),
            tuple(_as_marked(readings.deal(row, self._time_of(row), {}), row) for row in deals),
            None if position is None else _as_marked(readings.position(position), position),
            deals[0].time_msc / 1000 if deals else None,
            milliseconds,
        )

    def _time_of(self, row: Any) -> datetime:
        now = self._now()
        return self._clock.to_utc(row.time_msc, now) or now


def _as_marked(record: _Record, row: Any) -> _Record:
    """Return the record with the magic that it really carries: a worker would read a lost one off the comment."""
    return replace(record, magic=row.magic)


def _is_it(row: Any, ticket: int, request: TraceRequest) -> bool:
    if request.ticket:
        return ticket == request.ticket
    marked = str(row.comment).startswith(request.comment[:COMMENT_LENGTH])
    return bool(row.magic == request.magic) or marked
