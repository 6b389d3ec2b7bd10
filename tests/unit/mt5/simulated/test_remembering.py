"""What a terminal remembers of its book is what the book says, whoever has changed it, and however."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.mt5.simulated.conftest import EVER, Customer
from tests.unit.mt5.simulated.dealer import BUY, SELL, Dealer
from worker.mt5.simulated import book as books
from worker.mt5.simulated.book import Book
from worker.mt5.simulated.desk import Desk
from worker.mt5.simulated.money.account import standing
from worker.mt5.simulated.structs import Struct, TradeDeal, TradeOrder, TradePosition
from worker.mt5.simulated.symbols import SYMBOLS

TRADED = ("EURUSD", "XAUUSD", "US500", "EURJPY.multi", "BTCUSD.partial", "EURUSD.slow", "GBPUSD.pending")
OF_THE_MOMENT = {"price_current", "profit"}
STEPS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(TRADED), st.sampled_from((BUY, SELL)), st.integers(0, 3)),
    min_size=1,
    max_size=12,
)


def shown(terminal: Any) -> list[dict[str, Any]]:
    """Return all that a terminal shows of orders, deals and positions, but for what every tick changes."""
    calls = (terminal.orders_get, terminal.positions_get)
    rows = [row for call in calls for row in call()]
    rows += [*terminal.history_orders_get(*EVER), *terminal.history_deals_get(*EVER)]
    return [{name: value for name, value in row._asdict().items() if name not in OF_THE_MOMENT} for row in rows]


def does(terminal: Any, symbol: str, side: int, what: int) -> None:
    """Trade, or close the first position, cancel the first order, or look."""
    position, order = next(iter(terminal.positions_get()), None), next(iter(terminal.orders_get()), None)
    request = {"action": terminal.TRADE_ACTION_DEAL, "type_filling": terminal.ORDER_FILLING_IOC}
    if what == 1 and position is not None:
        closing = {"symbol": position.symbol, "volume": position.volume, "type": 1 - position.type}
        terminal.order_send(request | closing | {"position": position.ticket})
    elif what == 2 and order is not None:
        terminal.order_send({"action": terminal.TRADE_ACTION_REMOVE, "order": order.ticket})
    else:
        terminal.order_send(request | {"symbol": symbol, "volume": 0.5, "type": side, "magic": 2**64 - 7})


@settings(max_examples=25)
@given(STEPS)
def test_two_terminals_of_one_account_show_the_same_after_everything_that_either_does(
    steps: list[tuple[int, str, int, int]],
) -> None:
    with TemporaryDirectory() as folder:
        # Given two terminals that have both looked at one book
        customers = [Customer(Path(folder) / "book.sqlite") for _ in range(2)]
        for place, symbol, side, what in steps:
            # When one of them does something, then the other one shows it
            does(customers[place].mt5, symbol, side, what)
            assert shown(customers[1 - place].mt5) == shown(customers[place].mt5)
        # And so does one that has nothing to remember
        customers.append(Customer(customers[0].path))
        assert shown(customers[2].mt5) == shown(customers[0].mt5)
        for customer in customers:
            customer.mt5.shutdown()


@pytest.mark.parametrize(
    ("look", "change", "column"),
    [
        (lambda mt5: mt5.orders_get()[0], "UPDATE orders SET {} = 7 WHERE time_done = 0", "volume_current"),
        (lambda mt5: mt5.history_orders_get(*EVER)[0], "UPDATE orders SET {} = 7 WHERE time_done > 0", "state"),
        (lambda mt5: mt5.history_deals_get(*EVER)[1], "UPDATE deals SET {} = 7", "commission"),
        (lambda mt5: mt5.positions_get()[0], "UPDATE positions SET {} = 7", "volume"),
        (lambda mt5: mt5.account_info(), "UPDATE meta SET {} = 7", "balance"),
        (lambda mt5: mt5.terminal_info(), "UPDATE meta SET {} = 0", "connected"),
    ],
)
def test_what_another_process_changes_is_seen_by_the_next_look(
    customer: Customer, look: Callable[[Any], Any], change: str, column: str
) -> None:
    # Given a terminal that has looked
    for symbol in ("EURUSD", "GBPUSD.pending"):
        customer.send(symbol)
    before = getattr(look(customer.mt5), column)

    # When somebody else writes into the book
    customer.book(change.format(column))

    # Then it is not what was remembered that is shown
    after = getattr(look(customer.mt5), column)
    assert after != before
    assert after in {0, 7}


def test_what_was_not_done_is_not_remembered(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a broker that dies in the middle of an order
    def dies(*_: object, **__: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr("worker.mt5.simulated.dealing.deals.book", dies)
        with pytest.raises(OSError, match="the disk is gone"):
            customer.send("EURUSD")

    # Then nothing of it is there, and the next order has the first ticket
    assert (customer.mt5.orders_total(), customer.mt5.positions_total(), shown(customer.mt5)[1:]) == (0, 0, [])
    assert customer.send("EURUSD").order == customer.book("SELECT ticket FROM orders")[0]["ticket"] == 80_000_001


@given(STEPS, st.lists(st.sampled_from((0, 0, 1, 50, 3600)), min_size=12, max_size=12))
def test_an_account_s_worth_is_that_of_all_its_positions_added_up_anew(
    steps: list[tuple[int, str, int, int]], waits: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "book.sqlite"
        dealer = Dealer(path)
        for (_, symbol, side, what), wait in zip(steps, waits, strict=False):
            # When somebody trades, or closes what is open, and time goes by or not
            trade = dealer.buy if side == BUY else dealer.sell
            positions = dealer.positions()
            if what == 1 and positions:
                one = positions[0]
                closing = dealer.sell if one["type"] == BUY else dealer.buy
                closing(one["symbol"], one["volume"], position=one["ticket"])
            else:
                trade(symbol, 0.5)
            dealer.goes_on(wait)

            # Then what is told at once is what a terminal that knows nothing finds in the file
            fresh = Book(path)
            assert standing(dealer.desk()) == standing(Desk(fresh, fresh.meta(), dealer.now, SYMBOLS))
            assert remembered(dealer.book) == in_the_file(fresh, dealer.book)
            fresh.close()
        dealer.book.close()


def remembered(book: Book) -> dict[type[Struct], dict[int, str]]:
    return {struct: {ticket: repr(row) for ticket, row in kept.items()} for struct, kept in book._kept.items()}


def in_the_file(fresh: Book, book: Book) -> dict[type[Struct], dict[int, str]]:
    """Return the same rows as are remembered, to the last digit and with their types."""
    return {
        struct: {row.ticket: repr(row) for row in fresh.select(struct, "1") if row.ticket in kept}
        for struct, kept in book._kept.items()
    }


def test_not_more_is_remembered_than_can_be_of_use(dealer: Dealer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "_KEPT_AT_MOST", 10)
    for _ in range(25):
        dealer.buy()
    assert all(len(dealer.book._kept[struct]) <= 10 for struct in (TradeOrder, TradeDeal, TradePosition))
    assert len(dealer.book.select(TradeDeal, "type < 2")) == 25
