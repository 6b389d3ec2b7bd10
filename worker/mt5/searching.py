"""The child's search for tokens: looks at everything, and at each symbol by its name, for what may hide from that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from worker.domain.market import Health, Search, SearchRequest
from worker.mt5 import readings
from worker.mt5.findings import Findings, Look
from worker.mt5.link import Link
from worker.mt5.quotes import Quotes
from worker.mt5.server_clock import ServerClock
from worker.mt5.witness import Witness

_MEANT_IN_A_GROUP = frozenset("*!,")
_MARKET_ORDERS = frozenset({0, 1})  # ORDER_TYPE_BUY, ORDER_TYPE_SELL: the only ones that the worker sends

_Window = tuple[int, int]


class Searcher:
    """Finds all that carries a token of some namespaces. Every search asks the terminal for everything anew."""

    def __init__(
        self, link: Link, quotes: Quotes, clock: ServerClock, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._link = link
        self._quotes = quotes
        self._clock = clock
        self._now = now
        self._witness = Witness(link)

    def search(self, request: SearchRequest) -> Search:
        """Look at everything, then at each symbol by its name, then for what opened the positions."""
        health = self._link.health()
        if problem := self._problem(health):
            return self._judged(Search(readable=False), problem)
        window = self._clock.search_window(request.since, self._now())
        found, everything = Findings(), self._look(window)
        found.add(everything)
        unreadable = {name for name in sorted(request.symbols) if not self._read(name, window, everything, found)}
        deals = self._witness.look(request.witness, found.dealt, window)
        problem = everything.unreadable or self._problem(self._link.health())
        missing = "" if self._witness.is_in(deals, request.witness) else _missing(request.witness)
        if not problem and not missing:
            unreadable |= self._add_openings(request, window, found)
        search = found.report(request, self._time_of, hedging=health.account_mode == "hedging")
        return self._judged(
            search,
            problem or missing,
            unreadable_symbols=frozenset(unreadable),
            newest_deal=max(found.dealt | deals, default=None),
            lacks_witness=bool(missing and deals and not problem),
        )

    def _judged(self, search: Search, problem: str, **more: Any) -> Search:
        sender = self._link.sender
        looked_by = frozenset[str]() if problem else frozenset({sender})
        custody = {sender: self._link.custody}
        return replace(search, readable=not problem, detail=problem, custody=custody, looked_by=looked_by, **more)

    def _problem(self, health: Health) -> str:
        """Tell why nothing that this terminal says counts; empty when it does."""
        return "" if health.connected and self._link.is_expected(health) else str(health.problem)

    def _look(self, window: _Window, symbol: str | None = None) -> Look:
        by_name = {} if symbol is None else {"symbol": symbol}
        by_group = {} if symbol is None else {"group": symbol}
        # In this order: an order that ends while we look is then seen twice, never not at all.
        return Look(
            working=self._link.rows("orders_get", **by_name),
            positions=self._link.rows("positions_get", **by_name),
            ended=self._link.rows("history_orders_get", *window, **by_group),
            dealt=self._link.rows("history_deals_get", *window, **by_group),
        )

    def _read(self, symbol: str, window: _Window, everything: Look, found: Findings) -> bool:
        """Look at one symbol by its name; False when that proves nothing about it."""
        # History is asked for by groups only, in which these characters mean other symbols or none.
        if _MEANT_IN_A_GROUP & set(symbol) or not self._quotes.select(symbol):
            return False
        look = self._look(window, symbol)
        found.add(look)
        # A look by name that shows less than the look at everything did has not understood the name.
        if look.unreadable or not everything.history_of(symbol) <= look.history_of(symbol):
            return False
        # An open market order with nobody's mark may be ours: its deals, or their absence, will tell.
        return all(readings.token_of(row) or row.type not in _MARKET_ORDERS for row in look.working or ())

    def _add_openings(self, request: SearchRequest, window: _Window, found: Findings) -> set[str]:
        """Look up what opened fresh positions of ours where no look has shown it; return the symbols that failed."""
        failed = set()
        for row in found.unexplained_positions():
            # One that is older than the window has its order outside of it, as it should.
            if row.time >= window[0] and request.asks_for(readings.token_of(row)):
                look = Look(
                    ended=self._link.rows("history_orders_get", ticket=row.identifier),
                    dealt=self._link.rows("history_deals_get", position=row.identifier),
                )
                found.add(look)
                failed |= {row.symbol} if look.unreadable else set()
        return failed

    def _time_of(self, row: Any) -> datetime:
        # While the server's clock is not known, the time of this look stands in: it is not earlier than the deal.
        now = self._now()
        return self._clock.to_utc(row.time_msc, now) or now


def _missing(witness: int | None) -> str:
    if witness is None:
        return "the terminal's history holds no deal at all, not even the first deposit: it is not loaded yet"
    return f"the terminal's history does not hold deal {witness}, which is known: it is not loaded yet"
