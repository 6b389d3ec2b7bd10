"""What the looks of a search have shown, put together: whose each order, deal and position is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from worker.domain.market import BrokerOrder, BrokerPosition, Search, SearchRequest
from worker.mt5 import readings

Rows = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """One look, at everything or at one symbol; None where it could not be read."""

    working: Rows | None = ()
    positions: Rows | None = ()
    ended: Rows | None = ()
    dealt: Rows | None = ()

    @property
    def unreadable(self) -> str:
        """Tell in words what could not be read; empty when all of it could."""
        parts = {"open orders": self.working, "open positions": self.positions}
        parts |= {"order history": self.ended, "deal history": self.dealt}
        failed = [name for name, rows in parts.items() if rows is None]
        return f"the terminal could not read its {', '.join(failed)}" if failed else ""

    def history_of(self, symbol: str) -> set[tuple[str, int]]:
        """Return which orders and deals of a symbol's past it has shown."""
        rows = [("order", row) for row in self.ended or ()] + [("deal", row) for row in self.dealt or ()]
        return {(kind, row.ticket) for kind, row in rows if row.symbol == symbol}


@dataclass(slots=True)
class Findings:
    """The rows of all looks by ticket, so that what two looks have shown counts once."""

    working: dict[int, Any] = field(default_factory=dict)
    positions: dict[int, Any] = field(default_factory=dict)
    ended: dict[int, Any] = field(default_factory=dict)
    dealt: dict[int, Any] = field(default_factory=dict)

    def add(self, look: Look) -> None:
        """Take in what one look has shown."""
        self.working |= _by_ticket(look.working)
        self.positions |= _by_ticket(look.positions)
        self.ended |= _by_ticket(look.ended)
        self.dealt |= _by_ticket(look.dealt)

    def unexplained_positions(self) -> list[Any]:
        """Return the positions of which the order that opened them, or its deals, has not been seen."""
        ordered, dealt = self.working.keys() | self.ended.keys(), {row.position_id for row in self.dealt.values()}
        return [row for row in self.positions.values() if row.identifier not in ordered or row.identifier not in dealt]

    def report(self, request: SearchRequest, time_of: Callable[[Any], datetime], *, hedging: bool) -> Search:
        """Sort out what is ours and what is nobody's; the searcher adds whether it is the whole."""
        tokens, is_asked = self._tokens(hedging=hedging), request.asks_for
        trades = (row for row in self.dealt.values() if row.type in readings.TRADES)
        deals = [readings.deal(row, time_of(row), tokens) for row in trades]
        return Search(
            readable=True,
            orders=tuple(order for order in self._orders(tokens) if is_asked(order.magic)),
            deals=tuple(deal for deal in deals if is_asked(deal.magic)),
            positions=tuple(seen for seen in self._positions() if is_asked(seen.magic)),
            strangers=tuple(deal for deal in deals if not deal.magic and deal.symbol in request.symbols),
        )

    def _tokens(self, *, hedging: bool) -> dict[int, int]:
        """Return each order's token: its own or, where the broker has removed that, its position's."""
        # On a netting account a position is shared: its marks need not be those of the order that began it.
        positions = self.positions.values() if hedging else ()
        by_position = {row.identifier: readings.token_of(row) for row in positions}
        return by_position | readings.tokens_by_ticket([*self.working.values(), *self.ended.values()])

    def _orders(self, tokens: dict[int, int]) -> list[BrokerOrder]:
        # An order that both know has just ended.
        rows = [(row, False) for ticket, row in self.working.items() if ticket not in self.ended]
        rows += [(row, True) for row in self.ended.values()]
        read = (readings.order(row, historical=past) for row, past in rows)
        return [replace(order, magic=order.magic or tokens.get(order.ticket, 0)) for order in read]

    def _positions(self) -> list[BrokerPosition]:
        return [readings.position(row) for row in self.positions.values()]


def _by_ticket(rows: Rows | None) -> dict[int, Any]:
    return {row.ticket: row for row in rows or ()}
