"""Requests as `order_send` takes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.stories import an_instrument
from worker.domain.market import OrderRequest
from worker.domain.trade import Direction
from worker.mt5.order_request import deviation, fillings, market_order, removal

EURUSD = an_instrument(volume_max=Decimal(100))
FOK, IOC, RETURN = 0, 1, 2
PRICES = st.decimals("0.50000", "2.00000", places=5)


def an_order(direction: Direction = Direction.LONG, worst_price: Decimal = Decimal("1.1")) -> OrderRequest:
    return OrderRequest(
        symbol="EURUSD",
        direction=direction,
        lots=Decimal("0.3"),
        magic=77,
        comment="mw77",
        worst_price=worst_price,
        send_before=datetime.now(UTC),
        send_before_monotonic=0.0,
        login=1,
        server="S",
    )


@pytest.mark.parametrize(
    ("execution", "flags", "expected"),
    [
        (0, 3, (FOK, IOC)),  # on request
        (1, 3, (FOK, IOC)),  # instant
        (2, 1, (FOK,)),  # market
        (2, 2, (IOC,)),
        (2, 3, (IOC, FOK)),
        (2, 0, (FOK, IOC)),  # the broker says nothing: order_check will
        (3, 0, (RETURN,)),  # exchange
        (3, 1, (FOK, RETURN)),
        (3, 3, (IOC, FOK, RETURN)),
    ],
)
def test_filling_modes_follow_execution_and_flags(execution: int, flags: int, expected: tuple[int, ...]) -> None:
    assert fillings(replace(EURUSD, execution_mode=execution, filling_flags=flags)) == expected


def test_numbers_have_the_types_that_the_package_insists_on() -> None:
    request = market_order(an_order(), EURUSD, Decimal("1.08500"), IOC)
    assert request == {
        "action": 1,
        "symbol": "EURUSD",
        "volume": 0.3,
        "type": 0,
        "price": 1.085,
        "deviation": 1500,
        "type_filling": IOC,
        "type_time": 0,
        "magic": 77,
        "comment": "mw77",
    }
    assert {type(request[name]) for name in ("volume", "price")} == {float}
    assert {type(request[name]) for name in ("type", "deviation", "magic", "type_filling")} == {int}


def test_only_an_order_that_closes_names_a_position() -> None:
    closing = market_order(replace(an_order(), closes=70_000_001), EURUSD, Decimal("1.08500"), IOC)

    assert closing == {**market_order(an_order(), EURUSD, Decimal("1.08500"), IOC), "position": 70_000_001}
    assert type(closing["position"]) is int


def test_a_removal_names_the_order() -> None:
    assert removal(5, "EURUSD") == {"action": 8, "order": 5, "symbol": "EURUSD"}


@given(st.sampled_from(Direction), PRICES, PRICES)
def test_price_and_deviation_never_pass_the_worst_price(direction: Direction, price: Decimal, worst: Decimal) -> None:
    points = deviation(an_order(direction, worst), EURUSD, price)
    reached = price + int(direction) * points * EURUSD.point
    assert points >= 0
    if (price - worst) * int(direction) <= 0:
        assert reached == worst
    else:
        assert points == 0


@given(st.decimals("0.1", "10", places=7))
def test_a_worst_price_between_two_points_rounds_towards_us(worst: Decimal) -> None:
    points = deviation(an_order(Direction.LONG, worst), EURUSD, Decimal("0.1"))
    assert Decimal("0.1") + points * EURUSD.point <= worst
