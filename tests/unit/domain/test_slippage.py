"""Slippage has a sign that means the same in both directions: positive is worse for us."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from worker.domain.slippage import measure
from worker.domain.trade import Direction

PIP = Decimal("0.0001")
LIMIT = Decimal(10)
prices = st.decimals("0.5", "2", places=5)


def test_paying_three_pips_more_is_adverse() -> None:
    slippage = measure(Direction.LONG, Decimal("1.1000"), Decimal("1.1003"), PIP, LIMIT)
    assert (slippage.pips, slippage.adverse_pips, slippage.exceeded) == (Decimal(3), Decimal(3), False)


def test_selling_three_pips_higher_is_an_improvement() -> None:
    slippage = measure(Direction.SHORT, Decimal("1.1000"), Decimal("1.1003"), PIP, LIMIT)
    assert (slippage.pips, slippage.adverse_pips, slippage.exceeded) == (Decimal(3), Decimal(-3), False)


def test_only_more_than_the_limit_exceeds_it() -> None:
    assert not measure(Direction.LONG, Decimal("1.1000"), Decimal("1.1010"), PIP, LIMIT).exceeded
    assert measure(Direction.LONG, Decimal("1.1000"), Decimal("1.10101"), PIP, LIMIT).exceeded


@given(prices, prices)
def test_what_is_worse_for_one_side_is_better_for_the_other(intended: Decimal, fill: Decimal) -> None:
    bought = measure(Direction.LONG, intended, fill, PIP, LIMIT)
    sold = measure(Direction.SHORT, intended, fill, PIP, LIMIT)
    assert bought.adverse_pips == -sold.adverse_pips
    assert bought.pips == sold.pips == abs(bought.adverse_pips)
