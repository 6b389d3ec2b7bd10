"""Drives every open execution of the account by exactly one coroutine, and sees to it that none is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog

from worker.domain.errors import LeaseLost, StaleRevision
from worker.domain.execution import Execution
from worker.pipeline.flow import Flow
from worker.pipeline.holding import Holding
from worker.pipeline.naming import named
from worker.pipeline.submit import Ready
from worker.pipeline.turns import Place, Turns
from worker.ports import Arrival, Ledger

SWEEP_SECONDS = 1.0
FAILED_REST_SECONDS = 5.0  # an execution whose coroutine failed is adopted again after this

_log = structlog.get_logger()


class Driver:
    """Starts, counts and adopts executions. Settled ones are left to late evidence."""

    def __init__(self, flow: Flow, ledger: Ledger, holding: Holding, on_change: Callable[[], None]) -> None:
        self._flow, self._ledger, self._holding = flow, ledger, holding
        self._on_change = on_change
        self._turns = Turns()
        self._driven: dict[UUID, asyncio.Task[None]] = {}
        self._resting: set[UUID] = set()
        self._expected: set[UUID] = set()
        self._is_stopping = False

    @property
    def in_flight(self) -> int:
        """Return how many executions are open here."""
        return len(self._driven)

    @contextmanager
    def expecting(self, arrival: Arrival) -> Iterator[Place]:
        """
        Hold a trade's place from its arrival on, before it is admitted; `start` it from there.

        From its commit on it is in the ledger, perhaps about to be sent: no sweep is to take it for one left alone.
        """
        place = self._turns.join(arrival.trade.decision.symbol)
        self._expected.add(arrival.execution_id)
        try:
            yield place
        finally:
            self._expected.discard(arrival.execution_id)
            if not place.is_driven:
                place.leave()

    def start(self, execution: Execution, place: Place | None = None, ready: Ready | None = None) -> None:
        """Drive an execution, unless a coroutine drives it already, or the worker is about to end."""
        if self._is_stopping or execution.execution_id in self._driven or execution.is_settled:
            return
        place = place or self._turns.join(execution.trade.decision.symbol)
        place.is_driven = True
        name = f"execution-{execution.execution_id}"
        self._driven[execution.execution_id] = asyncio.create_task(self._drive(execution, place, ready), name=name)
        self._on_change()

    async def adopt(self) -> int:
        """Start every open execution of the ledger that nobody drives; returns how many there were."""
        left_alone = await self._ledger.open_executions(self._driven.keys() | self._resting | self._expected)
        for execution in left_alone:
            if execution.execution_id not in self._expected:
                self.start(execution)
        return len(left_alone)

    async def sweep(self) -> None:
        """Adopt for ever: a coroutine may have failed, an operator may have reopened a trade."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await self.adopt()

    async def stop(self, within: float, sends_within: float) -> None:
        """
        Let the open executions go on for `within` seconds, then leave them to the ledger; those held back at once.

        A send that is under way then may still be answered and recorded, for `sends_within` seconds more.
        """
        self._is_stopping = True
        for execution_id in filter(self._holding.holds, self._driven):
            self._driven[execution_id].cancel()
        tasks = set(self._driven.values())
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=within)
            for task in pending:
                task.cancel()
            if pending:
                await asyncio.wait(pending, timeout=sends_within)

    async def _drive(self, execution: Execution, place: Place, ready: Ready | None) -> None:
        with named(execution):
            await self._drive_to_its_end(execution, place, ready)

    async def _drive_to_its_end(self, execution: Execution, place: Place, ready: Ready | None) -> None:
        try:
            ended = await self._flow.carry_out(execution, place, ready)
            _log.info("trade_settled", status=ended.state.value, reason=ended.reason, symbol=ended.broker_symbol)
        except (LeaseLost, StaleRevision) as error:
            _log.warning("execution_left", detail=str(error))
        except Exception:  # noqa: BLE001 - one trade's defect must not end the others; the sweep adopts it again
            _log.exception(
                "execution_failed",
                alert=True,
                meaning="a defect; nothing is sent again before the ledger was read anew",
            )
            self._rest(execution.execution_id)
        finally:
            place.leave()
            del self._driven[execution.execution_id]
            self._on_change()

    def _rest(self, execution_id: UUID) -> None:
        self._resting.add(execution_id)
        asyncio.get_running_loop().call_later(FAILED_REST_SECONDS, self._resting.discard, execution_id)
