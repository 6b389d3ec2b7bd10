"""Trades that a halt keeps waiting: nothing of them is sent, or asked, until it is lifted or they are too old."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from worker.domain.checks import Limits, too_old
from worker.domain.execution import Execution
from worker.pipeline.watch import Sighting
from worker.ports import Clock, Ledger

_GLANCE_SECONDS = 5.0  # between two looks at what was seen of a held trade
_JUST_AFTER = timedelta(milliseconds=1)  # at its very limit an approval is not too old yet


class Holding:
    """Where trades wait while a halt holds them back; what becomes of them then is for the checks to say."""

    def __init__(self, ledger: Ledger, clock: Clock, limits: Limits) -> None:
        self._ledger, self._clock, self._limits = ledger, clock, limits
        self._held: dict[UUID, str] = {}

    @property
    def held(self) -> Mapping[str, int]:
        """Return how many trades wait here now, by symbol."""
        return Counter(self._held.values())

    def holds(self, execution_id: UUID) -> bool:
        """Tell whether this execution waits here: nothing of it is under way."""
        return execution_id in self._held

    def is_halted(self, execution: Execution) -> bool:
        """Tell whether a halt stands that this trade may not be sent under."""
        return self._ledger.halts.of(execution.trade.decision.symbol) is not None

    async def over(self, execution: Execution, sighting: Sighting) -> None:
        """Return when no halt holds the trade back, when it is too old to be sent, or when the broker shows it."""
        symbol = execution.trade.decision.symbol
        try:
            while (halt := self._ledger.halts.of(symbol)) is not None and halt.hold:
                if sighting.evidence.shows_an_effect or too_old(execution, self._limits, self._clock.now()) is not None:
                    return
                self._held[execution.execution_id] = symbol
                await self._ledger.halts_changed(self._seconds_left(execution))
        finally:
            self._held.pop(execution.execution_id, None)

    def _seconds_left(self, execution: Execution) -> float:
        """Return how long the approval is still good for, and no more than what may pass between two looks."""
        if execution.stale_allowed or not self._limits.max_trade_age:
            return _GLANCE_SECONDS
        ends = execution.trade.decision.approved_at + self._limits.max_trade_age + _JUST_AFTER
        return min((ends - self._clock.now()).total_seconds(), _GLANCE_SECONDS)
