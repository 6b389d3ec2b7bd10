"""
The way of a trade, stage by stage, as the specification has it.

    received -> submitting -> accepted -> (working partial) -> cancelling -> settled
        ^           |             |  ^                            |            ^
        |           v             v  |                            v            |
        `--------------------- unknown ------------------------------> unresolved

An execution enters wherever the ledger says it stands: a recovered one anywhere, a new trade at `received`, or at
`submitting` when its first attempt is written ahead with it. An order whose end shows with its answer is settled at
once. An unknown outcome is found (then it goes on as accepted, or is settled), proved absent (then it may be sent
again), or unresolved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from worker.domain.checks import Refusal
from worker.domain.errors import StaleRevision
from worker.domain.evidence import Evidence
from worker.domain.execution import Execution, State
from worker.domain.halts import Halt
from worker.pipeline.holding import Holding
from worker.pipeline.late import LateEvidence
from worker.pipeline.monitor import Monitor
from worker.pipeline.reconcile import Reconciler
from worker.pipeline.runway import Runways
from worker.pipeline.settle import Settler
from worker.pipeline.submit import Ready, Submitter
from worker.pipeline.turns import Place
from worker.pipeline.validate import Validator
from worker.pipeline.watch import Watch


class Flow:
    """Carries one trade at a time to its end; many run side by side."""

    def __init__(  # noqa: PLR0913, PLR0917 - the stages, in their order
        self,
        validator: Validator,
        submitter: Submitter,
        monitor: Monitor,
        reconciler: Reconciler,
        settler: Settler,
        watch: Watch,
        late: LateEvidence,
        runways: Runways,
        holding: Holding,
        retry_backoff_seconds: float,
    ) -> None:
        self._validator, self._submitter, self._monitor = validator, submitter, monitor
        self._reconciler, self._settler, self._watch = reconciler, settler, watch
        self._late, self._runways, self._holding = late, runways, holding
        self._retry_backoff_seconds = retry_backoff_seconds

    async def carry_out(self, execution: Execution, place: Place, ready: Ready | None = None) -> Execution:
        """Take an execution from where it stands to where it is settled; what is `ready` for it is sent first."""
        self._seen(execution)
        try:
            if ready is not None:
                execution = await self._send_ready(execution, place, ready)
            while not execution.is_settled:
                execution = await self._next_stage(execution, place)
        except StaleRevision:  # somebody else has moved it on, perhaps to its end: what comes is late then
            await self._let_go(execution)
            raise
        finally:
            place.leave()
        # Not on another error: what was seen is needed by whoever adopts the execution.
        await self._let_go(execution)
        return execution

    def _seen(self, execution: Execution) -> Evidence:
        """Return what has been seen of it, by now or while nobody drove it; from now on all of it comes here."""
        evidence = self._watch.register(execution.token).evidence
        evidence.add(self._late.kept(execution.token))
        return evidence

    async def _let_go(self, execution: Execution) -> None:
        seen = self._seen(execution)
        self._watch.release(execution.token)
        if seen.new_deals(execution):
            await self._late.take({execution.token: seen})

    async def _next_stage(self, execution: Execution, place: Place) -> Execution:
        if execution.state is State.RECEIVED:
            return await self._send(execution, place)
        place.leave()  # the next trade of the symbol may go
        if execution.state is State.SUBMITTING:
            return await self._reconciler.interrupted(execution)
        if execution.state is State.UNKNOWN:
            return await self._reconciler.seek(execution)
        return await self._monitor.follow(execution)

    async def _send(self, execution: Execution, place: Place) -> Execution:
        """Validate and submit until the broker has the order, or nothing will be sent, or nobody knows."""
        place.rejoin()
        # Not on the runway, where trades of other symbols wait.
        await self._holding.over(execution, self._watch.register(execution.token))
        await self._board(execution, place)
        try:
            after = await self._attempt(execution, place)
        finally:
            place.leave_runway()
        return await self._send_again(execution, after, place)

    async def _board(self, execution: Execution, place: Place) -> None:
        """
        Take a slot on the runway as soon as no slow trade is before this one.

        Never wait for a slow one with a slot: it waits for those before it, and one of these may lack that very slot.
        """
        while place.runway is None:
            await place.near()
            place.runway = await self._runways.enter(execution.trade.decision.symbol)
            if not place.is_near:
                place.leave_runway()

    async def _send_ready(self, execution: Execution, place: Place, ready: Ready) -> Execution:
        """Send what was written ahead together with its trade, unless a restored ledger had lost that it was sent."""
        try:
            if (seen := self._seen(execution)).shows_an_effect:
                return await self._reconciler.doubted(execution, seen)
            after = await _to_its_end(self._submitter.send(execution, ready, place))
        finally:
            place.leave_runway()
        return await self._send_again(ready.validated, after, place)

    async def _send_again(self, execution: Execution, after: Execution, place: Place) -> Execution:
        while after.state is State.RECEIVED:
            await self._before_another(execution, after, place)
            execution, after = after, await self._attempt(after, place)
        return after

    async def _before_another(self, before: Execution, after: Execution, place: Place) -> None:
        """
        Wait out a halt that holds the trade back, or the back-off after an attempt that was in vain.

        One that was only too late has waited enough: nothing that a pause would mend stood against it.
        """
        was_halted = self._holding.is_halted(after)
        if was_halted:
            place.speed_up()  # those behind, on the runway perhaps, are to find it out too
            await self._holding.over(after, self._watch.register(after.token))
        await place.first()
        if after.attempts > before.attempts and not was_halted and not place.is_late:
            await asyncio.sleep(self._retry_backoff_seconds)

    async def _attempt(self, execution: Execution, place: Place) -> Execution:
        validated = await self._validator.validate(execution)
        if (seen := self._seen(execution)).shows_an_effect:
            return await self._reconciler.doubted(await self._validator.measured(execution), seen)
        if isinstance(validated.verdict, Halt):
            return validated.execution
        if isinstance(validated.verdict, Refusal):
            return await self._settler.refused(validated.execution, validated.verdict)
        return await _to_its_end(self._submitter.submit(validated.execution, validated.verdict, place))


async def _to_its_end(send: Coroutine[Any, Any, Execution]) -> Execution:
    """Never leave a send in the middle: a shutdown waits until its answer is recorded."""
    sending = asyncio.ensure_future(send)
    try:
        return await asyncio.shield(sending)
    except asyncio.CancelledError:
        await asyncio.wait({sending})
        if not sending.cancelled():
            sending.exception()  # what it could not record is in the ledger as it was, for the next worker
        raise
