"""Looking things up: windows in server time, filters, and what one look-up says about another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.mt5.simulated.conftest import Customer

EVER = (0, 2_000_000_000)


@pytest.fixture
def tickets(customer: Customer) -> dict[str, int]:
    """Three filled orders and two open ones."""
    symbols = ("EURUSD", "USDJPY", "EURUSD.partial", "EURUSD.pending", "USDJPY.late")
    return {symbol: customer.send(symbol, 0.5).order for symbol in symbols}


def test_nothing_found_is_an_empty_tuple_and_a_success(mt5: Any) -> None:
    empty = [
        mt5.orders_get(),
        mt5.orders_get(ticket=1),
        mt5.orders_get(symbol="EURUSD"),
        mt5.positions_get(group="*JPY"),
        mt5.history_orders_get(*EVER),
        mt5.history_deals_get(ticket=1),
        mt5.history_deals_get(1, 2),
    ]

    assert empty == [()] * 7
    assert mt5.last_error() == (1, "Success")


def test_a_window_that_ends_at_utc_now_misses_what_was_just_done(customer: Customer) -> None:
    deal = customer.deals(customer.send("EURUSD").order)[0]
    utc_now = deal.time - 7200

    assert customer.mt5.history_deals_get(0, utc_now) == ()
    assert customer.mt5.history_deals_get(deal.time, deal.time)[-1] == deal


def test_open_orders_are_no_history_and_history_is_not_open(customer: Customer, tickets: dict[str, int]) -> None:
    mt5 = customer.mt5

    assert {row.symbol for row in mt5.orders_get()} == {"EURUSD.pending", "USDJPY.late"}
    assert {row.symbol for row in mt5.history_orders_get(*EVER)} == {"EURUSD", "USDJPY", "EURUSD.partial"}
    assert mt5.history_orders_get(ticket=tickets["EURUSD.pending"]) == ()
    assert mt5.orders_get(ticket=tickets["EURUSD"]) == ()
    assert (mt5.orders_total(), mt5.history_orders_total(*EVER)) == (2, 3)
    assert (mt5.positions_total(), mt5.history_deals_total(*EVER)) == (3, 4)


def test_filters_choose_by_symbol_group_ticket_and_position(customer: Customer, tickets: dict[str, int]) -> None:
    mt5, ticket = customer.mt5, tickets["EURUSD.partial"]

    assert [row.symbol for row in mt5.orders_get(symbol="USDJPY.late")] == ["USDJPY.late"]
    assert [row.symbol for row in mt5.orders_get(group="EUR*")] == ["EURUSD.pending"]
    assert [row.symbol for row in mt5.history_orders_get(*EVER, group="*,!EURUSD*")] == ["USDJPY"]
    assert [row.ticket for row in mt5.history_orders_get(position=ticket)] == [ticket]
    (deal,) = mt5.history_deals_get(position=ticket)
    assert deal.order == ticket
    assert mt5.history_deals_get(ticket=deal.ticket) == (deal,)
    assert [row.ticket for row in mt5.positions_get(ticket=ticket)] == [ticket]


def test_a_deal_is_looked_up_by_its_own_ticket_and_not_by_its_order_s(customer: Customer) -> None:
    order = customer.send("EURUSD.multi").order
    first, *_ = deals = customer.deals(order)

    assert len(deals) == 3
    assert customer.mt5.history_deals_get(ticket=first.ticket) == (first,)
    assert customer.mt5.history_deals_get(ticket=order) == ()


def test_of_several_filters_one_decides(customer: Customer, tickets: dict[str, int]) -> None:
    mt5, ticket = customer.mt5, tickets["EURUSD"]
    (deal,) = mt5.history_deals_get(position=ticket)

    assert mt5.history_deals_get(*EVER, ticket=deal.ticket, position=ticket) == mt5.history_deals_get(*EVER)
    assert mt5.history_deals_get(position=1, ticket=deal.ticket) == (deal,)
    assert [row.ticket for row in mt5.positions_get(group="*JPY*", symbol="GBPUSD", ticket=ticket)] == [ticket]
    assert [row.symbol for row in mt5.positions_get(group="EUR*", symbol="USDJPY")] == ["USDJPY"]


def test_balance_operations_pass_a_group_that_takes_everything(mt5: Any) -> None:
    (deposit,) = mt5.history_deals_get(*EVER, group="*")

    assert (deposit.type, deposit.symbol) == (mt5.DEAL_TYPE_BALANCE, "")
    assert mt5.history_deals_get(*EVER, group="*, !*EUR*") == (deposit,)
    assert mt5.history_deals_get(*EVER, group="*USD*") == ()


def test_history_comes_in_the_order_of_time(customer: Customer, tickets: dict[str, int]) -> None:
    customer.cancel(tickets["EURUSD.pending"])

    orders, deals = customer.mt5.history_orders_get(*EVER), customer.mt5.history_deals_get(*EVER)

    assert [row.time_done_msc for row in orders] == sorted(row.time_done_msc for row in orders)
    assert orders[-1].ticket == tickets["EURUSD.pending"]
    assert [row.ticket for row in deals] == sorted(row.ticket for row in deals)


def test_a_position_is_shown_at_the_price_of_the_moment(customer: Customer) -> None:
    reply = customer.send("EURUSD", 1.0)
    tick = customer.mt5.symbol_info_tick("EURUSD")

    (position,) = customer.mt5.positions_get(ticket=reply.order)

    assert position.price_current == pytest.approx(tick.bid, abs=0.0005)
    gain = (position.price_current - position.price_open) * 100_000
    assert position.profit == pytest.approx(gain, abs=0.01)


def test_a_restarted_terminal_finds_nothing_and_calls_it_a_success(customer: Customer, tickets: dict[str, int]) -> None:
    mt5, ticket = customer.mt5, tickets["EURUSD"]
    customer.book("UPDATE meta SET history_ready_utc_msc = 1e13")

    found = [
        mt5.orders_get(),
        mt5.orders_get(ticket=tickets["EURUSD.pending"]),
        mt5.positions_get(),
        mt5.positions_get(ticket=ticket),
        mt5.history_orders_get(*EVER),
        mt5.history_orders_get(position=ticket),
        mt5.history_deals_get(*EVER),
        mt5.history_deals_get(ticket=ticket),
    ]
    totals = [
        mt5.orders_total(),
        mt5.positions_total(),
        mt5.history_orders_total(*EVER),
        mt5.history_deals_total(*EVER),
    ]

    assert (found, totals) == ([()] * 8, [0] * 4)
    assert mt5.last_error() == (1, "Success")
    assert mt5.terminal_info().connected


def test_its_history_comes_back_with_what_was_done_meanwhile(customer: Customer, tickets: dict[str, int]) -> None:
    customer.book("UPDATE meta SET history_ready_utc_msc = 1e13")
    meanwhile = customer.send("GBPUSD")
    assert (meanwhile.retcode, customer.cancel(tickets["EURUSD.pending"]).retcode) == (10009, 10009)

    customer.book("UPDATE meta SET history_ready_utc_msc = 0")

    assert customer.history(meanwhile.order).state == 4
    assert customer.history(tickets["EURUSD.pending"]).state == 2
    assert customer.mt5.history_deals_total(*EVER) == 1 + 3 + 1


def test_the_server_s_clock_may_change_while_an_order_waits(customer: Customer) -> None:
    reply = customer.send("EURUSD.slow")
    customer.book("UPDATE meta SET server_offset_seconds = 10800")

    assert customer.mt5.orders_total() == 1
    customer.time_passes(2)

    (deal,) = customer.deals(reply.order)
    assert deal.time - customer.history(reply.order).time_setup == pytest.approx(3600, abs=2)
