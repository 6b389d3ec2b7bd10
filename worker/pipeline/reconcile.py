"""What happens to an execution whose outcome is unknown: it is never sent again, and a person is told."""

from __future__ import annotations

import structlog

from worker.domain.evidence import Conclusion
from worker.domain.execution import Execution, State
from worker.pipeline.settle import Settler
from worker.ports import Change, Event, Ledger

_log = structlog.get_logger()


class Reconciler:
    """Ends what cannot be decided by evidence as `unresolved`: confirmed as such, dead-lettered, alerted."""

    def __init__(self, ledger: Ledger, settler: Settler) -> None:
        self._ledger, self._settler = ledger, settler

    async def interrupted(self, execution: Execution) -> Execution:
        """Take over a send that was written ahead by a worker that did not live to see its answer."""
        detail = "the worker ended between the write-ahead of the send and the record of its answer"
        event = Event("interrupted", {"detail": detail, "attempt": execution.attempts}, execution.execution_id)
        after = execution.advance(State.UNKNOWN, detail=detail, sends=execution.sends + 1)
        return await self._ledger.record(Change(after=after, events=(event,)))

    async def unresolved(self, execution: Execution) -> Execution:
        """Hand an unknown outcome to a person."""
        detail = (
            f"attempt {execution.attempts} of {execution.broker_symbol or execution.trade.decision.symbol} may or may "
            f"not stand at the broker ({execution.detail or 'its answer proves nothing'}). It is not sent again. Look "
            f"for the order in the terminal by its magic number or comment."
        )
        _log.error(
            "outcome_unknown",
            alert=True,
            execution_id=str(execution.execution_id),
            trade_id=execution.trade.identity.trade_id,
            account=execution.account,
            detail=detail,
        )
        alert = Event("alert", {"alert": "outcome_unknown", "detail": detail}, execution.execution_id)
        end = Conclusion(State.UNRESOLVED, "outcome_unknown", detail)
        return await self._settler.concluded(execution, end, before=(alert,))
