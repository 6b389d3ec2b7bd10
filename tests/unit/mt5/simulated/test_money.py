"""Balance, equity, margin and free margin add up, whatever is done: compared with books that are kept by hand."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.fixtures.untraced import untraced
from tests.unit.mt5.simulated.bookkeeping import CENT, FLOAT_NOISE, Bookkeeping, exact
from tests.unit.mt5.simulated.dealer import (
    BUY,
    CLOSE_BY,
    DEAL,
    MODIFY,
    OPENED,
    PENDING,
    REMOVE,
    SLTP,
    TICK_MS,
    Dealer,
)
from worker.mt5 import simulated
from worker.mt5.simulated.money.account import account_info, standing
from worker.mt5.simulated.prices.prices import quote
from worker.mt5.simulated.symbols import SYMBOLS

TRADED = (
    *("EURUSD", "GBPUSD", "AUDUSD", "USDJPY", "EURJPY", "XAUUSD", "US500", "BTCUSD", "ETHUSD"),
    *("EURJPY.multi", "BTCUSD.multi", "XAUUSD.partial", "US500.slip"),
)
MANY_POSITIONS = 8
IOC = 1
STOP_LIMITS = (6, 7)
WAIT_ABOVE = (3, 4, 6)  # sell limit, buy stop, buy stop limit
ENTRIES = ("in", "out", "inout", "out by")
REASONS = {4: "stop loss", 5: "take profit"}


@pytest.fixture(scope="module")
def specifications(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    terminal: Any = simulated.module(tmp_path_factory.mktemp("shown") / "book.sqlite")
    terminal.initialize()
    shown = {info.name: info for info in terminal.symbols_get()}
    terminal.shutdown()
    return shown


class Restless:
    """A customer who does anything at any time, and has the books kept beside the broker's."""

    def __init__(self, dealer: Dealer, specifications: dict[str, Any], seed: int, *, hedging: bool) -> None:
        dealer.book.change("UPDATE meta SET margin_mode = ?", (2 if hedging else 0,))
        self.dealer = dealer
        self.seen: Counter[str] = Counter()
        self._specifications = specifications
        self._hedging = hedging
        self._dice = random.Random(seed)  # noqa: S311 - dice, not secrets
        self._books = Bookkeeping(specifications, self._touch, hedging=hedging)
        self._positions: list[dict[str, Any]] = []
        self._last_deal = dealer.rows("SELECT max(ticket) AS ticket FROM deals")[0]["ticket"]

    def does_something(self) -> None:
        """Do one operation, or let time pass."""
        positions = self._positions
        actions: list[tuple[int, Callable[[list[dict[str, Any]]], None]]] = [
            (6 if len(positions) < MANY_POSITIONS else 1, self._trades),
            (5 if len(positions) >= MANY_POSITIONS else 2, self._closes),
            (2, self._closes_by),
            (2, self._places),
            (1, self._moves_stops),
            (1, self._changes_an_order),
            (4, self._waits),
        ]
        (action,) = self._dice.choices([action for _, action in actions], [weight for weight, _ in actions])
        action(positions)

    def compares(self) -> None:
        """Compare every figure of the account with the books."""
        for deal in self._new_deals():
            (order,) = self.dealer.rows("SELECT * FROM orders WHERE ticket = ?", deal["order"])
            self._books.take(deal, order, deal["time_msc"] - 7_200_000)
            self.seen[ENTRIES[deal["entry"]]] += 1
            self.seen[REASONS.get(deal["reason"], "expert")] += 1
        self._positions = self.dealer.rows("SELECT ticket, identifier, symbol, type, volume FROM positions")
        shown = {one["identifier"]: (one["symbol"], one["type"], exact(one["volume"])) for one in self._positions}
        assert shown == {number: (one.symbol, one.side, one.lots) for number, one in self._books.open.items()}
        self._compare_money()

    def _compare_money(self) -> None:
        desk = self.dealer.desk()
        account = account_info(desk.meta, standing(desk))
        balance, profit, margin = exact(account.balance), exact(account.profit), exact(account.margin)
        assert balance == self._books.balance
        assert _is_rounded(profit, self._books.floating(self.dealer.now))
        assert _is_rounded(margin, self._books.margin(self.dealer.now))
        assert exact(account.equity) == balance + profit
        assert exact(account.margin_free) == balance + profit - margin
        assert account.margin_level == pytest.approx(float(100 * (balance + profit) / margin) if margin else 0)

    def _new_deals(self) -> list[dict[str, Any]]:
        deals = self.dealer.rows("SELECT * FROM deals WHERE ticket > ? ORDER BY ticket", self._last_deal)
        self._last_deal = max([self._last_deal, *(deal["ticket"] for deal in deals)])
        return deals

    def _touch(self, symbol: str, side: int, utc_msc: int) -> Decimal:
        now = quote(SYMBOLS[symbol], utc_msc - utc_msc % TICK_MS, OPENED)
        assert now is not None
        return exact(now.bid if side else now.ask)

    def _send(self, **request: Any) -> None:
        answer = self.dealer.send(type_filling=IOC, **request)
        self.seen[f"answered {answer.retcode}"] += 1

    def _lots(self, symbol: str, most: float | None = None) -> float:
        step = self._specifications[symbol].volume_step
        steps = 40 if most is None else round(most / step)
        return float(round(self._dice.randint(1, steps) * step, 8))

    def _near(self, symbol: str, sign: int) -> float:
        """Return a price above (1) or below (-1) the market by some of its spreads."""
        now, info = self.dealer.quote(symbol), self._specifications[symbol]
        away = self._dice.uniform(3, 40) * (now.ask - now.bid)
        ticks = round((now.ask + away if sign > 0 else now.bid - away) / info.trade_tick_size)
        return float(round(ticks * info.trade_tick_size, info.digits))

    def _stops(self, symbol: str, side: int) -> dict[str, float]:
        above, below = ("tp", "sl") if side == BUY else ("sl", "tp")
        stops = {above: self._near(symbol, 1), below: self._near(symbol, -1)}
        return {name: price for name, price in stops.items() if self._dice.random() < 0.4}

    def _trades(self, _positions: list[dict[str, Any]]) -> None:
        symbol, side = self._dice.choice(TRADED), self._dice.randint(0, 1)
        self._send(action=DEAL, symbol=symbol, type=side, volume=self._lots(symbol), **self._stops(symbol, side))

    def _closes(self, positions: list[dict[str, Any]]) -> None:
        if not positions:
            return
        one = self._dice.choice(positions)
        whole = self._dice.random() < 0.6
        volume = one["volume"] if whole else self._lots(one["symbol"], one["volume"])
        closing = {"symbol": one["symbol"], "type": 1 - one["type"], "volume": volume}
        self._send(action=DEAL, position=one["ticket"], **closing)

    def _closes_by(self, positions: list[dict[str, Any]]) -> None:
        pairs = [
            (one["ticket"], other["ticket"])
            for one in positions
            for other in positions
            if one["symbol"] == other["symbol"] and one["type"] != other["type"]
        ]
        if pairs:
            position, position_by = self._dice.choice(pairs)
            self._send(action=CLOSE_BY, position=position, position_by=position_by)

    def _places(self, _positions: list[dict[str, Any]]) -> None:
        symbol, kind = self._dice.choice(TRADED), self._dice.randint(2, 7)
        prices = self._prices(symbol, kind)
        self._send(action=PENDING, symbol=symbol, type=kind, volume=self._lots(symbol), **prices)

    def _prices(self, symbol: str, kind: int) -> dict[str, float]:
        """Return where a pending order may wait, and where a stop-limit order then waits for the way back."""
        sign = 1 if kind in WAIT_ABOVE else -1
        prices = {"price": self._near(symbol, sign)}
        return prices | {"stoplimit": self._near(symbol, -sign)} if kind in STOP_LIMITS else prices

    def _moves_stops(self, positions: list[dict[str, Any]]) -> None:
        if positions:
            one = self._dice.choice(positions)
            self._send(action=SLTP, position=one["ticket"], **self._stops(one["symbol"], one["type"]))

    def _changes_an_order(self, _positions: list[dict[str, Any]]) -> None:
        pending = self.dealer.rows("SELECT * FROM orders WHERE time_done_msc = 0 ORDER BY ticket")
        if not pending:
            return
        order = self._dice.choice(pending)
        if self._dice.random() < 0.5:
            self._send(action=REMOVE, order=order["ticket"])
        else:
            self._send(action=MODIFY, order=order["ticket"], **self._prices(order["symbol"], order["type"]))

    def _waits(self, _positions: list[dict[str, Any]]) -> None:
        self.dealer.goes_on(self._dice.choice([0.1, 1, 10, 60, 600]))


def _is_rounded(shown: Decimal, amount: Decimal) -> bool:
    """Tell whether an amount that is shown in whole cents is the nearest to the true one."""
    return shown % CENT == 0 and abs(shown - amount) <= CENT / 2 + FLOAT_NOISE


def adds_up_after(operations: int, seed: int, dealer: Dealer, specifications: dict[str, Any], mode: str) -> None:
    # Given a customer of the broker, and books that are kept by hand
    customer = Restless(dealer, specifications, seed, hedging=mode == "hedging")

    # When he does one thing after another, then the books agree after each
    with untraced():
        for _ in range(operations):
            customer.does_something()
            customer.compares()

    # And there was something of everything in it
    turned = "out by" if mode == "hedging" else "inout"
    for what in ("in", "out", turned, "expert", "stop loss", "take profit", "answered 10009", "answered 10010"):
        assert customer.seen[what] > 0, (what, customer.seen)


@pytest.mark.parametrize("mode", ["hedging", "netting"])
def test_the_account_adds_up_after_every_one_of_two_thousand_operations(
    dealer: Dealer, specifications: dict[str, Any], mode: str
) -> None:
    adds_up_after(2_000, 1, dealer, specifications, mode)


@pytest.mark.chaos
@pytest.mark.parametrize("mode", ["hedging", "netting"])
@pytest.mark.parametrize("seed", range(2, 6))
def test_the_account_adds_up_after_every_one_of_ten_thousand_operations(
    dealer: Dealer, specifications: dict[str, Any], mode: str, seed: int
) -> None:
    adds_up_after(10_000, seed, dealer, specifications, mode)
