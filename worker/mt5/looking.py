"""The child's looks at orders and deals: the news since the last look, or one order's whole story."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain
from operator import attrgetter
from typing import Any

from worker.domain.market import BrokerDeal, BrokerOrder, Health, Poll, PollRequest
from worker.domain.token import namespace_of
from worker.mt5 import readings
from worker.mt5.link import Link
from worker.mt5.past import TICKET, Past, Rows, Shown
from worker.mt5.quotes import Quotes
from worker.mt5.server_clock import ServerClock
from worker.mt5.wire import OrderStory

_ORDER_STATE = attrgetter("state", "volume_current")
_DEAL_STATE = attrgetter("order")  # a deal does not change
_UNSETTLED_SECONDS = 1  # what changes of an order that has ended changes at once


class News:
    """Reports each change of an order and each deal once, as far as they belong to the asked namespaces."""

    def __init__(
        self, link: Link, quotes: Quotes, clock: ServerClock, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._link = link
        self._quotes = quotes
        self._clock = clock
        self._now = now
        self._begin(frozenset())

    def poll(self, request: PollRequest) -> Poll:
        """Look once for everything since `request.since`."""
        health = self._link.health()
        if not self._link.is_expected(health):
            return Poll(health, readable=False, detail=str(health.problem))
        self._quotes.glance()
        if request.namespaces != self._namespaces:
            self._begin(request.namespaces)
        window = self._clock.window(request.since, self._now())
        # In this order: an order that ends while we look is then seen twice, never not at all.
        working = self._link.rows("orders_get")
        ended = self._orders.look(*window)
        dealt = self._deals.look(*window)
        unreadable = _unreadable(health, working, ended, dealt)
        orders, deals = self._news(working, ended or (), dealt or ())
        newest_deal = max(map(TICKET, dealt or ()), default=None)
        return Poll(health, not unreadable, orders, deals, unreadable, newest_deal)

    def story(self, ticket: int) -> OrderStory | None:
        """Return one order with its deals, whoever placed it; None when the terminal does not know it."""
        row, historical = self._find(ticket)
        instrument = None if row is None else self._quotes.known_instrument(row.symbol)
        if row is None or instrument is None:
            return None
        return OrderStory(
            readings.order(row, historical=historical),
            tuple(self._deal(deal, {}) for deal in self._deals_of(row)),
            instrument.contract_size,
            self._clock.to_utc(row.time_setup_msc, self._now()),
        )

    def _begin(self, namespaces: frozenset[int]) -> None:
        """Remember nothing: what was somebody else's may be ours in other namespaces."""
        self._namespaces = namespaces
        self._working = Shown(_ORDER_STATE)
        self._orders = Past(self._link, "orders", "time_done", _ORDER_STATE, unsettled=_UNSETTLED_SECONDS)
        self._deals = Past(self._link, "deals", "time", _DEAL_STATE)

    def _news(
        self, working: Rows | None, ended: Rows, dealt: Rows
    ) -> tuple[tuple[BrokerOrder, ...], tuple[BrokerDeal, ...]]:
        try:
            open_orders = () if working is None else self._working_news(working, ended)
            return (*open_orders, *self._ended_news(ended)), self._deal_news(dealt, working or (), ended)
        except Exception:
            self._begin(self._namespaces)  # nobody is told what this look has shown: the next one has to
            raise

    def _working_news(self, working: Rows, ended: Rows) -> Iterator[BrokerOrder]:
        changed = [row for row, _ in self._working.changes(working)]
        over = set(map(TICKET, ended)) if changed else frozenset()
        for row in changed:
            if row.ticket not in over and self._is_ours(readings.token_of(row)):
                yield readings.order(row, historical=False)

    def _ended_news(self, ended: Rows) -> Iterator[BrokerOrder]:
        news = (row for row in self._orders.news(ended) if self._is_ours(readings.token_of(row)))
        return (readings.order(row, historical=True) for row in news)

    def _deal_news(self, dealt: Rows, *orders: Rows) -> tuple[BrokerDeal, ...]:
        trades = [row for row in self._deals.news(dealt) if row.type in readings.TRADES]
        unmarked = {row.order for row in trades if not readings.token_of(row)}
        tokens = self._tokens_of(unmarked, chain(*orders)) if unmarked else {}
        unknown = unmarked - tokens.keys()
        for row in trades:
            if row.order in unknown and not readings.token_of(row):
                self._deals.take_back(row)  # whose it is will be seen when its order is
        ours = (row for row in trades if self._is_ours(readings.token_of_deal(row, tokens)))
        return tuple(self._deal(row, tokens) for row in ours)

    def _tokens_of(self, tickets: set[int], orders: Iterable[Any]) -> dict[int, int]:
        """Return the tokens of these orders, 0 for those that have none, as far as the terminal shows the orders."""
        rows = [row for row in orders if row.ticket in tickets]
        shown = {row.ticket for row in rows}
        rows += [row for ticket in tickets - shown if (row := self._find(ticket)[0]) is not None]
        return {row.ticket: readings.token_of(row) for row in rows}

    def _is_ours(self, token: int) -> bool:
        return namespace_of(token) in self._namespaces

    def _deal(self, row: Any, tokens: Mapping[int, int]) -> BrokerDeal:
        # While the server's clock is not known, the time of this look stands in: it is not earlier than the deal.
        now = self._now()
        return readings.deal(row, self._clock.to_utc(row.time_msc, now) or now, tokens)

    def _find(self, ticket: int) -> tuple[Any, bool]:
        for function, historical in (("orders_get", False), ("history_orders_get", True)):
            rows = self._link.rows(function, ticket=ticket)
            if rows:
                return rows[0], historical
        return None, False

    def _deals_of(self, order: Any) -> list[Any]:
        # Asking by ticket means the order's to some versions and the deal's to others: a window means one thing.
        begin = order.time_setup - int(timedelta(days=1).total_seconds())
        end = int((self._now() + timedelta(days=2)).timestamp())
        rows = self._link.rows("history_deals_get", begin, end) or ()
        return [row for row in rows if row.order == order.ticket and row.type in readings.TRADES]


def _unreadable(health: Health, working: object, ended: object, dealt: object) -> str:
    if not health.connected:
        return str(health.problem)
    looks = {"open orders": working, "order history": ended, "deal history": dealt}
    failed = [name for name, rows in looks.items() if rows is None]
    return f"the terminal could not read its {', '.join(failed)}" if failed else ""
