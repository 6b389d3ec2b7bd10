"""What the looks of a search have shown, put together: whose each order, deal and position is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from worker.domain.market import BrokerOrder, Search, SearchRequest
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
        looks = {"order": self.ended or (), "deal": self.dealt or ()}
        return {(kind, row.ticket) for kind, rows in looks.items() for row in rows if row.symbol == symbol}


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
        # A day has many rows that nobody asked for: only what is told is read into values.
        trades = [
            (row, readings.token_of_deal(row, tokens)) for row in self.dealt.values() if row.type in readings.TRADES
        ]
        asked = (row for row, token in trades if is_asked(token))
        strangers = (row for row, token in trades if not token and row.symbol in request.symbols)
        return Search(
            readable=True,
            orders=tuple(self._orders(tokens, is_asked)),
            deals=tuple(readings.deal(row, time_of(row), tokens) for row in asked),
            positions=tuple(
                readings.position(row) for row in self.positions.values() if is_asked(readings.token_of(row))
            ),
            strangers=tuple(readings.deal(row, time_of(row), tokens) for row in strangers),
        )

    def _tokens(self, *, hedging: bool) -> dict[int, int]:
        """Return each order's token: its own or, where the broker has removed that, its position's."""
        # On a netting account a position is shared: its marks need not be those of the order that began it.
        positions = self.positions.values() if hedging else ()
        by_position = {row.identifier: readings.token_of(row) for row in positions}
        return by_position | readings.tokens_by_ticket([*self.working.values(), *self.ended.values()])

    def _orders(self, tokens: dict[int, int], is_asked: Callable[[int], bool]) -> Iterator[BrokerOrder]:
        for ticket, row in (self.working | self.ended).items():  # an order that both know has just ended
            token = tokens.get(ticket, 0)
            if is_asked(token):
                yield replace(readings.order(row, historical=ticket in self.ended), magic=token)


def _by_ticket(rows: Rows | None) -> dict[int, Any]:
    return {row.ticket: row for row in rows or ()}
