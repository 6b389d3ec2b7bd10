"""
An account kept by hand: what the broker's deals must have done to it, in decimals and from the rules alone.

Told are the executions (which order, what, how much, at which price, when) and the market. Everything else is worked
out here and compared: entries, profits, commissions, positions, balance, equity, margin and free margin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

IN, OUT, INOUT, OUT_BY = range(4)
BUY, SELL = 0, 1
FOREX, _, CFD, CFD_INDEX, CFD_LEVERAGE = range(5)
CENT = Decimal("0.01")
AVERAGE_DIGITS = 6  # of an average price, more than of the symbol's prices
FLOAT_NOISE = Decimal("1e-5")  # of an amount; half a cent off is the most that rounding explains
COMMISSION = {"EURUSD", "GBPUSD", "AUDUSD", "USDJPY", "EURJPY", "XAUUSD"}  # 3.5 USD a lot and deal
MARGIN_RATE = {"US500": Decimal("0.05"), "BTCUSD": Decimal("0.5"), "ETHUSD": Decimal("0.5")}
LEVERAGE = 100
Touch = Callable[[str, int, int], Decimal]  # a symbol, 0 Ask or 1 Bid, a moment


def exact(number: float) -> Decimal:
    """Return the decimal that a float stands for."""
    return Decimal(repr(number))


def in_cents(amount: Decimal) -> Decimal:
    """Round an amount that is booked: what is behind a ten-thousandth of a cent never decides a tie."""
    return amount.quantize(CENT / 10_000).quantize(CENT, ROUND_HALF_UP)


@dataclass
class Kept:
    """One open position."""

    symbol: str
    side: int
    lots: Decimal
    price: Decimal


class Bookkeeping:
    """The books of one account; `specifications` are those that the terminal shows."""

    def __init__(self, specifications: dict[str, Any], touch: Touch, *, hedging: bool) -> None:
        self.balance = Decimal(10**9)
        self.open: dict[int, Kept] = {}
        self._specifications = specifications
        self._touch = touch
        self._hedging = hedging

    def take(self, deal: dict[str, Any], order: dict[str, Any], utc_msc: int) -> None:
        """Book a deal, and compare what the broker says that it did."""
        lots, price = exact(deal["volume"]), exact(deal["price"])
        if order["type"] == 8:
            entry, profit = OUT_BY, self._closed_by(order, deal["position_id"], (lots, price), utc_msc)
        else:
            entry, profit = self._traded(deal, (lots, price), utc_msc)
        costly = deal["symbol"].split(".")[0] in COMMISSION and entry != OUT_BY
        commission = -in_cents(Decimal("3.5") * lots) if costly else Decimal(0)
        told = deal["entry"], exact(deal["profit"]), exact(deal["commission"]), deal["swap"], deal["fee"]
        assert told == (entry, profit, commission, 0, 0), deal
        self.balance += profit + commission

    def floating(self, utc_msc: int) -> Decimal:
        """Return the profit of everything that is open, if it were closed at a moment."""
        profit = Decimal(0)
        for one in self.open.values():
            profit += self._worth(one, self._touch(one.symbol, 1 - one.side, utc_msc), utc_msc)
        return profit

    def margin(self, utc_msc: int) -> Decimal:
        """Return what everything that is open reserves at a moment."""
        legs: dict[str, dict[int, tuple[Decimal, Decimal]]] = {}
        for one in self.open.values():
            held = legs.setdefault(one.symbol, {})
            lots, value = held.get(one.side, (Decimal(0), Decimal(0)))
            held[one.side] = (lots + one.lots, value + one.lots * one.price)
        return sum((self._reserved(symbol, held, utc_msc) for symbol, held in legs.items()), Decimal(0))

    def _traded(self, deal: dict[str, Any], terms: tuple[Decimal, Decimal], utc_msc: int) -> tuple[int, Decimal]:
        lots, price = terms
        if self._hedging:
            number = deal["position_id"]
        else:
            number = next((key for key, one in self.open.items() if one.symbol == deal["symbol"]), deal["order"])
            assert deal["position_id"] == number
        kept = self.open.get(number)
        if kept is None:
            assert number == deal["order"], "what opens a position gives it its number"
            self.open[number] = Kept(deal["symbol"], deal["type"], lots, price)
            return IN, Decimal(0)
        if kept.side == deal["type"]:
            digits = self._specifications[kept.symbol].digits + AVERAGE_DIGITS
            kept.price = round((kept.lots * kept.price + lots * price) / (kept.lots + lots), digits)
            kept.lots += lots
            return IN, Decimal(0)
        profit = self._realized(kept, min(lots, kept.lots), price, utc_msc)
        if lots <= kept.lots:
            self._take_away(number, lots)
            return OUT, profit
        assert not self._hedging, "a hedging position never turns round"
        self.open[number] = Kept(kept.symbol, deal["type"], lots - kept.lots, price)
        return INOUT, profit

    def _closed_by(self, order: dict[str, Any], number: int, terms: tuple[Decimal, Decimal], utc_msc: int) -> Decimal:
        """Close by an opposite position, at its price: the first deal has the profit, the second nothing."""
        lots, price = terms
        one, other = self.open.get(order["position_id"]), self.open.get(order["position_by_id"])
        if number == order["position_id"]:
            assert one is not None
            assert other is not None
            assert (lots, price, one.side) == (min(one.lots, other.lots), other.price, 1 - other.side)
            return self._realized(one, lots, price, utc_msc)
        assert number == order["position_by_id"]
        self._take_away(order["position_id"], lots)
        self._take_away(order["position_by_id"], lots)
        return Decimal(0)

    def _take_away(self, number: int, lots: Decimal) -> None:
        self.open[number].lots -= lots
        if not self.open[number].lots:
            del self.open[number]

    def _realized(self, kept: Kept, lots: Decimal, price: Decimal, utc_msc: int) -> Decimal:
        return in_cents(self._worth(Kept(kept.symbol, kept.side, lots, kept.price), price, utc_msc))

    def _worth(self, kept: Kept, price: Decimal, utc_msc: int) -> Decimal:
        specification = self._specifications[kept.symbol]
        gain = (price - kept.price) if kept.side == BUY else (kept.price - price)
        rate = self._rate(specification.currency_profit, 1 - kept.side, utc_msc)
        return gain * exact(specification.trade_contract_size) * kept.lots * rate

    def _reserved(self, symbol: str, held: dict[int, tuple[Decimal, Decimal]], utc_msc: int) -> Decimal:
        """Charge what is bought and sold together once, by the hedged contract size, and the rest as what it is."""
        larger = max(held, key=lambda side: held[side][0])
        covered = min(held[BUY][0], held[SELL][0]) if len(held) == 2 else Decimal(0)
        lots, value = held[larger]
        contract = exact(self._specifications[symbol].trade_contract_size)
        alone = (lots - covered) * self._lot(symbol, contract, value / lots)
        needed = alone * self._margin_rate(symbol, larger, utc_msc)
        if covered:
            (bought, paid), (sold, got) = held[BUY], held[SELL]
            average = (paid + got) / (bought + sold)
            hedged = exact(self._specifications[symbol].margin_hedged)
            rate = (self._margin_rate(symbol, BUY, utc_msc) + self._margin_rate(symbol, SELL, utc_msc)) / 2
            needed += covered * self._lot(symbol, hedged, average) * rate
        return needed * MARGIN_RATE.get(symbol.split(".", maxsplit=1)[0], Decimal(1))

    def _lot(self, symbol: str, contract: Decimal, price: Decimal) -> Decimal:
        mode = self._specifications[symbol].trade_calc_mode
        return {
            FOREX: contract / LEVERAGE,
            CFD: contract * price,
            CFD_INDEX: contract * price,  # a tick of the index is worth its size
            CFD_LEVERAGE: contract * price / LEVERAGE,
        }[mode]

    def _margin_rate(self, symbol: str, side: int, utc_msc: int) -> Decimal:
        specification = self._specifications[symbol]
        is_forex = specification.trade_calc_mode == FOREX
        return self._rate(specification.currency_base if is_forex else specification.currency_profit, side, utc_msc)

    def _rate(self, currency: str, side: int, utc_msc: int) -> Decimal:
        if currency == "USD":
            return Decimal(1)
        if currency == "JPY":
            return 1 / self._touch("USDJPY", side, utc_msc)
        return self._touch(currency + "USD", side, utc_msc)
