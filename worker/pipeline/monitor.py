"""Stage 5: an accepted order is watched until its deals, its own end, or a cancel we asked for ends it."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from worker.domain.errors import TerminalUnavailable
from worker.domain.execution import Deal, Execution, State
from worker.pipeline.settle import Settler, deal_payload, end_shown, with_deals
from worker.pipeline.watch import Sighting, Watch
from worker.ports import Change, Clock, Event, Ledger, Terminal
from worker.settings import Settings

CANCEL_AGAIN_SECONDS = 2.0  # a cancel may be lost or refused; while the order stands it is asked for again

_log = structlog.get_logger()


class Monitor:
    """Follows one order at the broker. The only thing it ever asks for is the cancel after the time-out."""

    def __init__(  # noqa: PLR0913, PLR0917 - one place where these six parts meet
        self, ledger: Ledger, terminal: Terminal, clock: Clock, settings: Settings, settler: Settler, watch: Watch
    ) -> None:
        self._ledger, self._terminal, self._clock, self._settings = ledger, terminal, clock, settings
        self._settler, self._watch = settler, watch

    async def follow(self, execution: Execution) -> Execution:
        """Return the execution settled, or `unknown` when its order has vanished."""
        sighting = self._watch.register(execution.token)
        while True:
            deals = sighting.evidence.new_deals(execution)
            end = end_shown(execution, sighting.evidence)
            if end is not None:
                return await self._settler.concluded(execution, end, deals=deals)
            if deals:
                execution = await self._partly_filled(execution, deals)
            execution = await self._in_time(execution)
            if self._is_past_hope(execution, sighting):
                return await self._lost_sight(execution)
            await sighting.news(self._until_next_act(execution))

    async def _partly_filled(self, execution: Execution, deals: tuple[Deal, ...]) -> Execution:
        changes = with_deals(execution, deals)
        cancelling = execution.state is State.CANCELLING
        same = cancelling or execution.state is State.WORKING_PARTIAL
        after = execution.amend(**changes) if same else execution.advance(State.WORKING_PARTIAL, **changes)
        event = Event("deals", {"deals": [deal_payload(deal) for deal in deals]}, execution.execution_id)
        return await self._ledger.record(Change(after=after, events=(event,), deals=deals))

    async def _in_time(self, execution: Execution) -> Execution:
        """Ask for the cancel when the order's time is over, and again while it stands."""
        if self._clock.now() < self._due(execution):
            return execution
        if execution.state is not State.CANCELLING:
            event = Event("cancelling", {"order_id": str(execution.order_ticket)}, execution.execution_id)
            after = execution.advance(State.CANCELLING, cancelled_at=self._clock.now())
            execution = await self._ledger.record(Change(after=after, events=(event,)))
        return await self._cancel(execution)

    async def _cancel(self, execution: Execution) -> Execution:
        """Send one cancel. Its answer is kept, and decides nothing: the order's history and deals do."""
        try:
            report = await self._terminal.cancel(execution.order_ticket or 0, execution.broker_symbol or "")
            said = {"retcode": report.retcode, "last_error": report.last_error, "detail": report.detail}
            payload = said | {"request": dict(report.request), "reply": dict(report.reply or {})}
        except TerminalUnavailable as error:
            payload = {"detail": str(error)}
        self._watch.look_now()
        event = Event("cancel_answered", payload, execution.execution_id)
        after = execution.amend(cancel_asked_at=self._clock.now())
        return await self._ledger.record(Change(after=after, events=(event,)))

    def _due(self, execution: Execution) -> datetime:
        if execution.cancel_asked_at is not None and execution.state is State.CANCELLING:
            return execution.cancel_asked_at + timedelta(seconds=CANCEL_AGAIN_SECONDS)
        accepted = execution.accepted_at or execution.received_at
        return accepted + timedelta(seconds=self._settings.order_timeout_seconds)

    def _until_next_act(self, execution: Execution) -> float:
        return (self._due(execution) - self._clock.now()).total_seconds()

    def _is_past_hope(self, execution: Execution, sighting: Sighting) -> bool:
        """Tell whether a look after the horizon has shown a cancelled order not at all, or over without its deals."""
        order, looked = sighting.evidence.order_of(execution), self._watch.last_read
        if execution.cancelled_at is None or looked is None or (order is not None and not order.is_over):
            return False
        return looked - execution.cancelled_at > timedelta(seconds=self._settings.unknown_horizon_seconds)

    async def _lost_sight(self, execution: Execution) -> Execution:
        detail = f"order {execution.order_ticket} was accepted, and orders and history do not show how it ended"
        _log.error("order_vanished", detail=detail)
        event = Event("alert", {"detail": detail}, execution.execution_id)
        return await self._ledger.record(Change(after=execution.advance(State.UNKNOWN, detail=detail), events=(event,)))
