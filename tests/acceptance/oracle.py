"""
Judges a run of trades without asking the worker's opinion of itself.

Its witnesses: the broker's book, the confirmations that a subscriber received, and the operator's listing. A trade is
found in the book by its symbol, side and size, so the trades of one run must differ in one of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from tests.acceptance.desk import Desk, eventually
from tests.fixtures.book import Traded
from tests.fixtures.rpm import LONG, Sent
from tests.fixtures.subscriber import Confirmation

# The simulated broker's specification of its symbols, and the default of PIP_SIZES.
CONTRACT_SIZE = {
    "EURUSD": 100_000,
    "GBPUSD": 100_000,
    "AUDUSD": 100_000,
    "USDJPY": 100_000,
    "EURJPY": 100_000,
    "XAUUSD": 100,
    "US500": 1,
    "BTCUSD": 1,
    "ETHUSD": 1,
}
PIP = {
    "EURUSD": Decimal("0.0001"),
    "GBPUSD": Decimal("0.0001"),
    "AUDUSD": Decimal("0.0001"),
    "USDJPY": Decimal("0.01"),
    "EURJPY": Decimal("0.01"),
    "XAUUSD": Decimal("0.1"),
    "US500": Decimal("0.1"),
    "BTCUSD": Decimal(1),
    "ETHUSD": Decimal("0.1"),
}
MAX_SLIPPAGE_PIPS = Decimal(10)
_SHOWN = 20
_NOTHING_EXECUTED = {"rejected", "expired", "cancelled", "error"}


def base(symbol: str) -> str:
    """Return the base symbol: what stands before the suffix."""
    return symbol.partition(".")[0]


def lots_of(symbol: str, units: float) -> Decimal:
    """Convert units into lots as a MetaTrader user would."""
    return Decimal(str(units)) / CONTRACT_SIZE[base(symbol)]


def exactly(number: Decimal | float) -> Any:
    """Compare with a number out of JSON, allowing for its being a double."""
    return pytest.approx(float(number), rel=1e-9, abs=1e-12)


def orders_of(desk: Desk, sent: Sent) -> list[Traded]:
    """Return the broker's orders of a trade, effective or not."""
    return by_size(desk.book.traded()).get(size_of(sent), [])


def placed(desk: Desk, sent: Sent) -> str:
    """Wait until the broker has an order of this trade, and return its ticket."""
    eventually(lambda: orders_of(desk, sent), f"no order of {size_of(sent)} in the book")
    return orders_of(desk, sent)[0].ticket


def check_execution(confirmed: Confirmation, traded: Traded, *, symbol: str, pip: Decimal | None = None) -> None:
    """Hold what a confirmation says of lots, units, prices, slippage and tickets against the broker's own book."""
    size, pip = CONTRACT_SIZE[base(symbol)], pip or PIP[base(symbol)]
    assert confirmed["executed_lots"] == exactly(traded.lots)
    assert confirmed["executed_units"] == exactly(traded.lots * size)
    assert confirmed["fill_price"] == pytest.approx(float(traded.price), rel=1e-9)
    assert confirmed["order_id"] == traded.ticket
    assert confirmed["position_id"] == str(traded.order["position_id"])
    assert sorted(told_deals(confirmed)) == sorted(booked_deals(traded, size))
    side = 1 if traded.order["type"] == 0 else -1
    adverse = side * (traded.price - Decimal(str(confirmed["intended_price"]))) / pip
    assert confirmed["adverse_slippage_pips"] == pytest.approx(float(adverse), abs=1e-4)
    assert confirmed["slippage_pips"] == pytest.approx(abs(float(adverse)), abs=1e-4)
    assert confirmed["slippage_exceeded"] is (adverse > MAX_SLIPPAGE_PIPS)


def told_deals(confirmed: Confirmation) -> list[tuple[Any, ...]]:
    """Return a confirmation's deals, for comparing."""
    return [
        (d["deal_id"], round(d["lots"], 8), round(d["units"], 6), d["price"], d["commission"], d["fee"])
        for d in confirmed["deals"]
    ]


def booked_deals(traded: Traded, size: int) -> list[tuple[Any, ...]]:
    """Return an order's deals out of the book in the same form; `size` in units per lot."""
    return [
        (str(d["ticket"]), round(d["volume"], 8), round(d["volume"] * size, 6), d["price"], d["commission"], d["fee"])
        for d in traded.deals
    ]


def check_run(desk: Desk, run: Sequence[Sent], *, unresolved_allowed: bool = False) -> dict[str, Confirmation]:
    """
    Assert for every trade: at most one effective order, told truly by the latest confirmation, one row in the ledger.

    Every trade must have been confirmed before. Returns the latest confirmations by `order_id`.
    """
    problems: list[str] = []
    received = by_correlation(desk.downstream.received)
    rows = _by_trade(desk.listing("executions", "list"))
    orders = by_size(desk.book.traded())
    sizes = [size_of(sent) for sent in run]
    assert len(set(sizes)) == len(sizes), "the trades of a run must differ in symbol, side or size"
    latest: dict[str, Confirmation] = {}
    for sent, size in zip(run, sizes, strict=True):
        name = f"{sent.order_id} {size}"
        told = received.get(sent.correlation, [])
        if not told:
            problems.append(f"{name}: never confirmed")
            continue
        last = latest[str(sent.order_id)] = max(told, key=lambda one: int(one["version"]))
        problems += [f"{name}: {problem}" for problem in contradictions(told)]
        problems += [f"{name}: {problem}" for problem in untruths(last, orders.get(size, []))]
        problems += [f"{name}: {problem}" for problem in _ledger_problems(last, rows.get(str(sent.order_id), []))]
        if last["status"] == "unresolved" and not unresolved_allowed:
            problems.append(f"{name}: unresolved")
    strangers = {size for size, found in orders.items() if any(one.deals for one in found)} - set(sizes)
    problems += [f"the book has deals of {size}, which nobody approved" for size in strangers]
    assert not problems, "\n".join([f"{len(problems)} problems, among them:", *problems[:_SHOWN]])
    return latest


def contradictions(told: list[Confirmation]) -> Iterable[str]:
    """Tell where the confirmations of one trade, repeats included, cannot all be meant."""
    bodies: dict[int, set[bytes]] = defaultdict(set)
    for one in told:
        bodies[one["version"]].add(one.body)
    yield from (
        f"version {version} exists in {len(same)} wordings" for version, same in bodies.items() if len(same) > 1
    )
    if len({one["execution_id"] for one in told}) > 1:
        yield "confirmed under several execution ids"


def untruths(last: Confirmation, orders: list[Traded]) -> Iterable[str]:
    """Tell where a trade's latest confirmation differs from what the book has of its orders."""
    effective = [one for one in orders if one.deals]
    if len(effective) > 1:
        yield f"executed {len(effective)} times: orders {[one.ticket for one in effective]}"
        return
    if last["status"] == "unresolved":
        return  # it claims nothing
    if any(one.is_open for one in orders):
        yield f"{last['status']}, but an order is still open at the broker"
    executed = effective[0].lots if effective else Decimal(0)
    if last["executed_lots"] != exactly(executed):
        yield f"confirmed {last['executed_lots']} lots, the book has {executed}"
    if last["status"] in _NOTHING_EXECUTED and effective:
        yield f"{last['status']}, but the book has order {effective[0].ticket}"
    if effective and last["order_id"] != effective[0].ticket:
        yield f"confirmed as order {last['order_id']}, the book has {effective[0].ticket}"
    if effective and sorted(told_deals(last)) != sorted(
        booked_deals(effective[0], CONTRACT_SIZE[base(last["symbol"])])
    ):
        yield f"the deals told are not those that the book has of order {effective[0].ticket}"
    if last["status"] == "filled" and last["requested_lots"] != exactly(executed):
        yield f"filled, but {executed} of {last['requested_lots']} lots are in the book"
    if last["status"] == "partially_filled" and not 0 < executed < Decimal(str(last["requested_lots"])):
        yield f"partially filled with {executed} of {last['requested_lots']} lots"


def _ledger_problems(last: Confirmation, rows: list[dict[str, Any]]) -> Iterable[str]:
    if len(rows) != 1:
        yield f"{len(rows)} rows in the ledger"
        return
    row = rows[0]
    for field in ("execution_id", "account", "symbol", "status", "version"):
        if row[field] != last[field]:
            yield f"the ledger's {field} is {row[field]}, the subscriber's {last[field]}"


def size_of(sent: Sent) -> tuple[str, str, Decimal]:
    """Return what a trade is found by in the book: symbol, side, lots."""
    trade = sent.approved
    lots = lots_of(trade["symbol"], trade["position_units"])
    return trade["symbol"], "buy" if trade["direction"] == LONG else "sell", lots.normalize()


def by_size(orders: list[Traded]) -> dict[tuple[str, str, Decimal], list[Traded]]:
    """Sort the book's orders by what they were asked for."""
    found: dict[tuple[str, str, Decimal], list[Traded]] = defaultdict(list)
    for one in orders:
        side = "buy" if one.order["type"] == 0 else "sell"
        found[one.order["symbol"], side, Decimal(str(one.order["volume_initial"])).normalize()].append(one)
    return found


def by_correlation(received: list[Confirmation]) -> dict[str, list[Confirmation]]:
    """Sort confirmations by trade."""
    found: dict[str, list[Confirmation]] = defaultdict(list)
    for one in received:
        found[one.correlation_id].append(one)
    return found


def _by_trade(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["trade_id"]].append(row)
    return found
