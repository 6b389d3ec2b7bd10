"""Slippage: how far the fill is from the intended price, in pips of the instrument."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from worker.domain.execution import Execution
from worker.domain.trade import Direction

_PRECISION = Decimal("0.0001")  # pips; a hundred times finer than the finest quote


@dataclass(frozen=True, slots=True)
class Slippage:
    """`pips` is absolute; `adverse_pips` is signed, positive is worse for us; `exceeded` compares with the limit."""

    pips: Decimal
    adverse_pips: Decimal
    exceeded: bool


def adverse_pips(direction: Direction, intended: Decimal, actual: Decimal, pip: Decimal) -> Decimal:
    """Return the signed distance in pips: paying more, or selling for less, is positive."""
    return (actual - intended) * int(direction) / pip


def measure(direction: Direction, intended: Decimal, fill: Decimal, pip: Decimal, limit: Decimal) -> Slippage:
    """Measure a fill (volume-weighted price) against the intended price; `pip` in price, `limit` in pips."""
    exact = adverse_pips(direction, intended, fill, pip)
    shown = exact.quantize(_PRECISION)
    return Slippage(abs(shown), shown, exact > limit)


def of(execution: Execution) -> Slippage | None:
    """Measure an execution's fill against its intended price; None while one of the two is not known."""
    intended, fill, pip = execution.intended_price, execution.fill_price, execution.pip_size
    limit = execution.max_slippage_pips
    if intended is None or fill is None or pip is None or limit is None:
        return None
    return measure(execution.trade.decision.direction, intended, fill, pip, limit)
