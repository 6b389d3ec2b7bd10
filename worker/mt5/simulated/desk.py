"""The dealing desk at one moment: orders are accepted and closed, each with the time of that moment."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.book import Book, Meta
from worker.mt5.simulated.hours import Weekend, weekend
from worker.mt5.simulated.prices.prices import Quote, quote
from worker.mt5.simulated.prices.walk import TICK_MS
from worker.mt5.simulated.structs import Struct, TradeOrder, named
from worker.mt5.simulated.symbols import SYMBOLS, Symbol

FIRST_ORDER = 80_000_001
_TEXTS = ("symbol", "comment", "external_id")
_NUMBERS = ("volume_initial", "volume_current", "price_open", "sl", "tp", "price_current", "price_stoplimit")
_NO_TERMS: dict[str, Any] = (
    dict.fromkeys(TradeOrder.__match_args__, 0) | dict.fromkeys(_NUMBERS, 0.0) | dict.fromkeys(_TEXTS, "")
)


@dataclass(frozen=True, slots=True)
class Desk:
    """
    The book with the moment (UTC milliseconds) at which something is read from it or done to it.

    `selected` are the symbols that a program has put into the Market Watch of its terminal.
    """

    book: Book
    meta: Meta
    utc_msc: int
    selected: Container[str]

    def at(self, utc_msc: int) -> Desk:
        """Return the same desk at another moment."""
        return replace(self, utc_msc=utc_msc)

    @property
    def server_msc(self) -> int:
        """Return the moment as the server writes it: its wall clock as an epoch, in milliseconds."""
        return self.utc_msc + self.meta.server_offset_seconds * 1000

    @property
    def history_is_loading(self) -> bool:
        """Tell whether the terminal still waits for its server to send orders, deals and positions."""
        return self.utc_msc < self.meta.history_ready_utc_msc

    def shows(self, symbol: Symbol) -> bool:
        """Tell whether the terminal shows prices of a symbol: it was selected, or something of it is open."""
        return symbol.name in self.selected or symbol.name in self.open_symbols()

    def open_symbols(self) -> frozenset[str]:
        """Return the symbols of open positions and orders, which stay in the Market Watch by themselves."""
        rows = self.book.rows(
            "SELECT symbol FROM exposure WHERE volume > 1e-9 UNION SELECT symbol FROM orders WHERE time_done_msc = 0"
        )
        return frozenset(name for (name,) in rows)

    def quote(self, symbol: Symbol) -> Quote | None:
        """Return what the symbol's feed shows at this moment."""
        closed = self.weekend(symbol)
        moment = closed.begin - 1 if closed else self.utc_msc
        begin = moment - moment % TICK_MS  # within a tick it is the same, and found at once
        return quote(symbol, begin, self.meta.opened_utc_msc)

    def weekend(self, symbol: Symbol) -> Weekend | None:
        """Return the weekend for which the symbol's market is closed just now."""
        return weekend(self.meta, symbol, self.utc_msc)

    def touch(self, symbol: Symbol, order_type: int) -> float:
        """Return the price at which an order of this type is filled at this moment."""
        now = self.quote(symbol)
        if now is None:
            raise ValueError(f"{symbol.name} has no quote; the checks let no order of such a symbol through")
        return now.touch(order_type)

    def enter(self, symbol: Symbol, **terms: Any) -> Struct:
        """Write a new open order at the market; whatever else `terms` do not tell of it is 0 or empty."""
        now, touch = self.server_msc, self.touch(symbol, terms["type"])
        order = named(
            TradeOrder,
            **_NO_TERMS
            | {
                "ticket": self.next_ticket("orders", FIRST_ORDER),
                "time_setup": now // 1000,
                "time_setup_msc": now,
                "state": mt5.ORDER_STATE_PLACED,
                "symbol": symbol.name,
                "price_open": touch,
                "price_current": touch,
            }
            | terms,
        )
        self.book.insert(order)
        return order

    def accept(self, symbol: Symbol, request: Struct, **terms: Any) -> Struct:
        """Write a new open order with the request's magic and comment, unless the broker has words of its own."""
        comment = symbol.behaviour.comment
        asked = {
            "type": request.type,
            "type_filling": request.type_filling,
            "magic": request.magic,
            "reason": mt5.ORDER_REASON_EXPERT,
            "volume_initial": request.volume,
            "volume_current": request.volume,
            "comment": request.comment if comment is None else comment,
        }
        return self.enter(symbol, **asked | terms)

    def close(self, order: Struct, state: int, rest: float, position_id: int) -> None:
        """Move an order into history at the market of the moment; `rest` is open of it, 0 is no position."""
        now, touch = self.server_msc, self.touch(SYMBOLS[order.symbol], order.type)
        self.book.change(
            "UPDATE orders SET state = ?, volume_current = ?, position_id = ?, time_done = ?, time_done_msc = ?, "
            "price_current = ? WHERE ticket = ?",
            (state, rest, position_id, now // 1000, now, touch, order.ticket),
        )

    def next_ticket(self, table: str, first: int) -> int:
        """Return the ticket of the next row; rows of `orders` and `deals` are never deleted."""
        last = self.book.value(f"SELECT max(ticket) FROM {table}")  # noqa: S608 - one of our own two tables
        return first if last is None else last + 1
