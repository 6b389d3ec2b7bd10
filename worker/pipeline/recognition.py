"""Recognising a trade: what an arrival is to a ledger that may know it already. The only place of this rule."""

from __future__ import annotations

from worker.domain.execution import Execution, State
from worker.domain.trade import Trade
from worker.ports import Admittance


def admittance(trade: Trade, known: Execution | None, *, replayed: bool) -> Admittance:
    """
    Return how a trade is to be admitted.

    `known` is the execution that has its identity, or its body where neither has an order id. `replayed` means that it
    comes with an operator's permission: only that opens a trade again, and only one proved not executed.
    """
    if known is None:
        return Admittance.NEW
    if known.trade.decision != trade.decision:
        return Admittance.CONFLICT
    return Admittance.REOPENED if replayed and known.state is State.ERROR else Admittance.REPEAT
