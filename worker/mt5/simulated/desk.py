"""The dealing desk at one moment: orders are accepted and closed, each with the time of that moment."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field, replace
from typing import Any

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.book import Book, Meta
from worker.mt5.simulated.hours import Weekend
from worker.mt5.simulated.market import Market, begin_of_tick
from worker.mt5.simulated.prices.prices import Quote
from worker.mt5.simulated.structs import Struct, TradeOrder
from worker.mt5.simulated.symbols import SYMBOLS, Symbol

FIRST_ORDER = 80_000_001
_OPEN_SYMBOLS = (
    "SELECT symbol FROM exposure WHERE volume > 1e-9 UNION SELECT symbol FROM orders WHERE time_done_msc = 0"
)
_HIDDEN = "SELECT order_ticket FROM schedule WHERE event = 'reveal'"
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
    market: Market = field(init=False, compare=False)

    def __post_init__(self) -> None:
        meta = self.meta
        terms = meta.opened_utc_msc, meta.server_offset_seconds, meta.open_at_weekends, meta.leverage
        object.__setattr__(self, "market", Market(begin_of_tick(self.utc_msc), *terms))  # the desk is frozen

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
        return self.book.known("open symbols", lambda: frozenset(name for (name,) in self.book.rows(_OPEN_SYMBOLS)))

    @property
    def hidden_orders(self) -> frozenset[int]:
        """Return the tickets of the orders that no look-up shows yet, nor what has come of them."""
        return self.book.known("hidden", lambda: frozenset(ticket for (ticket,) in self.book.rows(_HIDDEN)))

    def quote(self, symbol: Symbol) -> Quote | None:
        """Return what the symbol's feed shows at this moment."""
        return self.market.quote(symbol)

    def weekend(self, symbol: Symbol) -> Weekend | None:
        """Return the weekend for which the symbol's market is closed just now."""
        return self.market.weekend(symbol)

    def touch(self, symbol: Symbol, order_type: int) -> float:
        """Return the price at which an order of this type is filled at this moment."""
        return self.market.touch(symbol, order_type)

    def enter(self, symbol: Symbol, **terms: Any) -> Struct:
        """Write a new open order at the market; whatever else `terms` do not tell of it is 0 or empty."""
        now, touch = self.server_msc, self.touch(symbol, terms["type"])
        basics = {
            "ticket": self.book.next_ticket(TradeOrder, FIRST_ORDER),
            "time_setup": now // 1000,
            "time_setup_msc": now,
            "state": mt5.ORDER_STATE_PLACED,
            "symbol": symbol.name,
            "price_open": touch,
            "price_current": touch,
        }
        order = TradeOrder((_NO_TERMS | basics | terms).values())
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
        self.book.amend(
            order,
            state=state,
            volume_current=rest,
            position_id=position_id,
            time_done=now // 1000,
            time_done_msc=now,
            price_current=touch,
        )
