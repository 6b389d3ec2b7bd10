"""A dealing desk whose time is chosen: the book is really kept, the clock stands still until it is told to go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worker.mt5.simulated.book import Book
from worker.mt5.simulated.dealing import events
from worker.mt5.simulated.dealing.checks import examine
from worker.mt5.simulated.dealing.execution import Answer, handle
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.package import arguments
from worker.mt5.simulated.prices.prices import Quote
from worker.mt5.simulated.symbols import SYMBOLS

OPENED = 1_760_000_000_000  # UTC ms; a Thursday, 08:53:20, and 10:53:20 at the server
TICK_MS = 100
BUY, SELL, BUY_LIMIT, SELL_LIMIT, BUY_STOP, SELL_STOP, BUY_STOP_LIMIT, SELL_STOP_LIMIT = range(8)
RISING = (SELL_LIMIT, BUY_STOP, BUY_STOP_LIMIT)  # they wait for the market to rise to their price
DEAL, PENDING, SLTP, MODIFY, REMOVE, CLOSE_BY = 1, 5, 6, 7, 8, 10


class Dealer:
    """Sends requests at moments of its own choosing, and looks at the rows of the book."""

    def __init__(self, path: Path) -> None:
        self.book = Book(path)
        self.book.change("UPDATE meta SET opened_utc_msc = ?", (OPENED,))
        self.now = OPENED

    def send(self, **request: Any) -> Answer:
        """Send a request at the present moment."""
        with self.book.transaction():
            events.apply_due(self.desk())
            return handle(self.desk(), arguments.trade_request((request,), {}))

    def check(self, **request: Any) -> int:
        """Return the code with which a request would be refused, 0 when it would not."""
        verdict = examine(self.desk(), arguments.trade_request((request,), {}))
        return verdict if isinstance(verdict, int) else 0

    def buy(self, symbol: str = "EURUSD", volume: float = 0.1, **fields: Any) -> Answer:
        """Buy at the market."""
        return self.send(action=DEAL, symbol=symbol, volume=volume, type=BUY, **fields)

    def sell(self, symbol: str = "EURUSD", volume: float = 0.1, **fields: Any) -> Answer:
        """Sell at the market."""
        return self.send(action=DEAL, symbol=symbol, volume=volume, type=SELL, **fields)

    def place(self, kind: int, price: float, symbol: str = "EURUSD", volume: float = 0.1, **fields: Any) -> Answer:
        """Place a pending order."""
        return self.send(action=PENDING, symbol=symbol, volume=volume, type=kind, price=price, **fields)

    def goes_on(self, seconds: float) -> None:
        """Let time pass, and then somebody look."""
        self.now += round(seconds * 1000)
        self.settle()

    def settle(self) -> None:
        """Apply everything that has happened up to now."""
        with self.book.transaction():
            events.apply_due(self.desk())

    def desk(self) -> Desk:
        """Return the desk at the present moment."""
        return Desk(self.book, self.book.meta(), self.now, SYMBOLS)

    def quote(self, symbol: str = "EURUSD", utc_msc: int | None = None) -> Quote:
        """Return the market now, or at a moment."""
        now = self.desk().at(self.now if utc_msc is None else utc_msc).quote(SYMBOLS[symbol])
        assert now is not None
        return now

    def ahead(self, seconds: int, symbol: str = "EURUSD") -> list[Quote]:
        """Return every tick that is to come."""
        return [self.quote(symbol, self.now + TICK_MS * n) for n in range(1, seconds * 10 + 1)]

    def reachable(self, kind: int, symbol: str = "ETHUSD") -> tuple[float, Quote]:
        """
        Wait until the market is about to move to where an order of a kind waits for it.

        Returns a price that is reached within a minute, and the first tick that does; ETHUSD has no stops level.
        """
        pick, up = (max, True) if kind in RISING else (min, False)
        for _ in range(100):
            touches = [(tick.touch(kind), tick) for tick in self.ahead(60, symbol)]
            price = pick(touch for touch, _ in touches)
            if abs(price - self.quote(symbol).touch(kind)) > 1e-9 and (price > self.quote(symbol).touch(kind)) == up:
                return price, next(tick for touch, tick in touches if touch == price)
            self.now += 10_000
        raise AssertionError(f"{symbol} does not move")

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Look into the book."""
        cursor = self.book._connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def order(self, ticket: int) -> dict[str, Any]:
        """Return an order's row."""
        (row,) = self.rows("SELECT * FROM orders WHERE ticket = ?", ticket)
        return row

    def orders(self) -> list[dict[str, Any]]:
        """Return all orders, in the order of their tickets."""
        return self.rows("SELECT * FROM orders ORDER BY ticket")

    def deals(self) -> list[dict[str, Any]]:
        """Return the deals, without the deposit."""
        return self.rows("SELECT * FROM deals WHERE type < 2 ORDER BY ticket")

    def positions(self) -> list[dict[str, Any]]:
        """Return the open positions."""
        return self.rows("SELECT * FROM positions ORDER BY ticket")

    def waits(self) -> list[str]:
        """Return what the book still waits for."""
        return [row["event"] for row in self.rows("SELECT event FROM schedule ORDER BY event")]

    def server_msc(self, utc_msc: int) -> int:
        """Return a moment as the server writes it."""
        return utc_msc + 7_200_000
