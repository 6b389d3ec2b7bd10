"""Late evidence whose correction fails is told in the trade's own name."""

from __future__ import annotations

from typing import Any

import structlog
from structlog.testing import capture_logs

from tests.unit.domain.stories import an_execution
from tests.unit.pipeline.hidden_broker import LOTS, HiddenBroker
from worker.domain.evidence import Evidence
from worker.domain.execution import Execution, State
from worker.domain.token import attempt_token
from worker.pipeline.late import LateEvidence


class Ended:
    """A ledger and a settler: one trade that has ended, and that nobody can correct."""

    execution = an_execution(state=State.EXPIRED, version=1, attempts=1)

    async def report_orphans(self, _seen: object) -> list[Any]:
        return []

    async def unrecorded(self, tickets: list[int]) -> frozenset[int]:
        return frozenset(tickets)

    async def find_by_token(self, _token: int) -> Execution:
        return self.execution

    async def corrected(self, *_: object) -> Execution:
        raise RuntimeError("a defect")


async def test_a_correction_that_fails_names_its_trade() -> None:
    # Given a deal of a trade that has ended
    ended: Any = Ended()
    token, evidence, broker = ended.execution.token, Evidence(), HiddenBroker()
    broker.take(attempt_token(token, 1))
    broker.fill(LOTS)
    evidence.add_deal(broker.deals[0])

    # When it cannot be taken in
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        await LateEvidence(ended, ended).take({token: evidence})

    # Then the line about it says whose deal it is
    [line] = [line for line in lines if line["event"] == "correction_failed"]
    assert line["execution_id"] == str(ended.execution.execution_id)
    assert line["trade_id"] == ended.execution.trade.identity.trade_id
    assert structlog.contextvars.get_contextvars() == {}
