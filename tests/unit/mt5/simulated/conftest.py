"""A customer of the simulated broker: trades through the package's functions, looks at the book from outside."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.unit.mt5.simulated.dealer import Dealer
from worker.domain.token import attempt_token, base_token
from worker.mt5 import simulated

BUY, SELL = 0, 1
EVER = (0, 2_000_000_000)  # a window of server time with room on both sides


class Customer:
    """One process's terminal, and the book read with nothing but SQLite."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mt5: Any = simulated.module(path)
        self.mt5.initialize()
        self._trades = 0

    def token(self, attempt: int = 1) -> int:
        """Return the magic of a new trade's attempt."""
        self._trades += 1
        return attempt_token(base_token(7, self._trades), attempt)

    def order(self, symbol: str, volume: float = 0.1, side: int = BUY, **fields: Any) -> dict[str, Any]:
        """Write a market order, of a symbol whose prices the terminal follows."""
        self.mt5.symbol_select(symbol)
        fields.setdefault("magic", self.token())
        defaults = {"action": self.mt5.TRADE_ACTION_DEAL, "type_filling": self.mt5.ORDER_FILLING_IOC, "comment": "ours"}
        return defaults | {"symbol": symbol, "volume": volume, "type": side} | fields

    def send(self, symbol: str, volume: float = 0.1, side: int = BUY, **fields: Any) -> Any:
        """Send a market order."""
        return self.mt5.order_send(self.order(symbol, volume, side, **fields))

    def cancel(self, ticket: int) -> Any:
        """Ask the broker to cancel an order."""
        return self.mt5.order_send({"action": self.mt5.TRADE_ACTION_REMOVE, "order": ticket})

    def history(self, ticket: int) -> Any:
        """Return the order from the terminal's history."""
        (order,) = self.mt5.history_orders_get(ticket=ticket)
        return order

    def deals(self, ticket: int) -> list[Any]:
        """Return an order's deals as the terminal shows them in a wide window."""
        return [deal for deal in self.mt5.history_deals_get(*EVER) if deal.order == ticket]

    def book(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Look into the book from outside, or change a setting in it."""
        with closing(sqlite3.connect(self.path, timeout=10, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, parameters)]

    def executed(self, symbol: str) -> float:
        """Return the lots that the book says were dealt in a symbol."""
        (total,) = self.book("SELECT coalesce(sum(volume), 0) AS lots FROM deals WHERE symbol = ?", symbol)
        return float(round(total["lots"], 8))

    def deal_later(self, ticket: int, lots: float | None = None, seconds: float = 1) -> None:
        """Write a deal of an order into the broker's schedule: so many lots, or all that is left of it."""
        due = int((time.time() + seconds) * 1000)
        self.book(
            "INSERT INTO schedule (due_utc_msc, event, order_ticket, lots) VALUES (?, 'deal', ?, ?)", due, ticket, lots
        )

    def time_passes(self, seconds: float) -> None:
        """Bring everything that is due later nearer, instead of waiting for it."""
        self.book("UPDATE schedule SET due_utc_msc = due_utc_msc - ?", int(seconds * 1000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book.sqlite"


@pytest.fixture
def customer(path: Path) -> Iterator[Customer]:
    one = Customer(path)
    yield one
    one.mt5.shutdown()


@pytest.fixture
def mt5(customer: Customer) -> Any:
    return customer.mt5


@pytest.fixture
def dealer(path: Path) -> Iterator[Dealer]:
    one = Dealer(path)
    yield one
    one.book.close()
