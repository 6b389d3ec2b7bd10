"""The child's looks at orders and deals: the news since the last look, or one order's whole story."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.domain.market import BrokerDeal, BrokerOrder, Health, Poll, PollRequest
from worker.domain.token import namespace_of
from worker.mt5 import readings
from worker.mt5.link import Link
from worker.mt5.quotes import Quotes
from worker.mt5.server_clock import ServerClock
from worker.mt5.wire import OrderStory

_PAGE = timedelta(hours=1)


class _Told:
    """
    Remembers what was told, for one to two hours after it was last seen.

    That is longer than any look goes back but the first one, so that nothing is told twice and memory stays bounded.
    """

    def __init__(self, began: datetime) -> None:
        self._turned = began
        self._recent: dict[int, object] = {}
        self._older: dict[int, object] = {}

    def turn(self, now: datetime) -> None:
        """Begin a new page every hour, and throw the last but one away."""
        if now - self._turned >= _PAGE:
            self._older, self._recent, self._turned = self._recent, {}, now

    def is_news(self, ticket: int, state: object) -> bool:
        """Tell whether this ticket was not told in this state, and remember that it is now."""
        known = self._recent.get(ticket, self._older.get(ticket))
        self._recent[ticket] = state
        return known != state


class News:
    """Reports each change of an order and each deal once, as far as they belong to the asked namespaces."""

    def __init__(
        self, link: Link, quotes: Quotes, clock: ServerClock, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._link = link
        self._quotes = quotes
        self._clock = clock
        self._now = now
        self._orders = _Told(now())
        self._deals = _Told(now())

    def poll(self, request: PollRequest) -> Poll:
        """Look once for everything since `request.since`."""
        health = self._link.health()
        if not self._link.is_expected(health):
            return Poll(health, readable=False, detail=str(health.problem))
        self._quotes.glance()
        window = self._clock.window(request.since, self._now())
        # In this order: an order that ends while we look is then seen twice, never not at all.
        working = self._link.rows("orders_get")
        ended = self._link.rows("history_orders_get", *window)
        dealt = self._link.rows("history_deals_get", *window)
        unreadable = _unreadable(health, working, ended, dealt)
        return Poll(
            health,
            not unreadable,
            self._order_news(request, working or (), ended or ()),
            self._deal_news(request, dealt or (), readings.tokens_by_ticket([*(working or ()), *(ended or ())])),
            unreadable,
            max((row.ticket for row in dealt or ()), default=None),
        )

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

    def _order_news(
        self, request: PollRequest, working: Iterable[Any], ended: Iterable[Any]
    ) -> tuple[BrokerOrder, ...]:
        self._orders.turn(self._now())
        rows = {row.ticket: (row, False) for row in working if _is_ours(row, request)}
        rows |= {row.ticket: (row, True) for row in ended if _is_ours(row, request)}
        return tuple(
            readings.order(row, historical=past)
            for ticket, (row, past) in rows.items()
            if self._orders.is_news(ticket, (row.state, row.volume_current, past))
        )

    def _deal_news(
        self, request: PollRequest, dealt: Iterable[Any], tokens: Mapping[int, int]
    ) -> tuple[BrokerDeal, ...]:
        self._deals.turn(self._now())
        trades = (row for row in dealt if row.type in readings.TRADES)
        ours = (row for row in trades if namespace_of(readings.token_of_deal(row, tokens)) in request.namespaces)
        return tuple(self._deal(row, tokens) for row in ours if self._deals.is_news(row.ticket, "dealt"))

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


def _is_ours(row: Any, request: PollRequest) -> bool:
    return namespace_of(readings.token_of(row)) in request.namespaces


def _unreadable(health: Health, working: object, ended: object, dealt: object) -> str:
    if not health.connected:
        return str(health.problem)
    looks = {"open orders": working, "order history": ended, "deal history": dealt}
    failed = [name for name, rows in looks.items() if rows is None]
    return f"the terminal could not read its {', '.join(failed)}" if failed else ""
