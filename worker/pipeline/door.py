"""
The door: an arrival is written down or recognised, and its execution driven.

A quote changes nothing, so a new trade asks for it before anything is written: if it may be sent at once, one commit
writes it down and its first attempt ahead. Whatever would have to wait, for its terminal, the end of a halt or another
trade of its symbol, is only written down, and goes on from there.
"""

from __future__ import annotations

import asyncio

import structlog

from worker.domain.checks import Measures
from worker.domain.execution import State
from worker.pipeline.drive import Driver
from worker.pipeline.runway import Runways
from worker.pipeline.submit import Ready, Submitter
from worker.pipeline.turns import Place
from worker.pipeline.validate import Validator
from worker.ports import Admission, Admittance, Arrival, Ledger

AT_ONCE_SECONDS = 1.0  # for a place on the runway and a quote; no message is kept from the ledger for longer

_NO_TOKEN = 0  # no check asks for it; it is given when the trade is written down

_log = structlog.get_logger()


class Door:
    """Lets arrivals in."""

    def __init__(
        self, ledger: Ledger, driver: Driver, validator: Validator, submitter: Submitter, runways: Runways
    ) -> None:
        self._ledger, self._driver = ledger, driver
        self._validator, self._submitter, self._runways = validator, submitter, runways
        self._inside: dict[str, asyncio.Event] = {}  # by what makes an arrival the same trade: set when it has left

    async def admit(self, arrival: Arrival) -> Admission:
        """
        Return what the ledger found when it is committed. Raises what the ledger raises; nothing is driven then.

        What comes again meanwhile waits: if it got past the first, its place behind others would be the trade's.
        """
        same = arrival.trade.rpm_order_id or arrival.trade.body_digest
        while (first := self._inside.get(same)) is not None:
            await first.wait()
        has_left = self._inside[same] = asyncio.Event()
        try:
            return await self._admit(arrival)
        finally:
            del self._inside[same]
            has_left.set()

    async def _admit(self, arrival: Arrival) -> Admission:
        with self._driver.expecting(arrival) as place:
            ready = await self._ready_at_once(arrival, place)
            is_written_ahead = False
            try:
                admission = await self._ledger.admit(arrival, ready)
                is_written_ahead = _is_written_ahead(admission)
            finally:
                if ready is not None:
                    self._submitter.decide(ready, is_written_ahead=is_written_ahead)
                if not is_written_ahead:
                    place.leave_runway()
            if admission.admittance is not Admittance.CONFLICT:
                self._driver.start(admission.execution, place, ready if is_written_ahead else None)
            return admission

    async def _ready_at_once(self, arrival: Arrival, place: Place) -> Ready | None:
        """Make a trade ready that can be sent at once, on the runway; None when it cannot."""
        ready: Ready | None = None
        try:
            async with asyncio.timeout(AT_ONCE_SECONDS):
                place.runway = await self._runways.enter(arrival.trade.decision.symbol)
                ready = await self._ready(arrival, place)
        except TimeoutError:
            return None
        except Exception:  # noqa: BLE001 - on its long way the trade meets the same, and is tried again
            _log.exception("not_ready_at_once", meaning="a defect; the trade is written down, and validated again")
            return None
        finally:
            if ready is None:
                place.leave_runway()
        return ready

    async def _ready(self, arrival: Arrival, place: Place) -> Ready | None:
        if arrival.message.header("replay-id") is not None:
            return None  # what an operator has allowed is known only under the account's lock
        if not place.may_follow:
            return None
        validated = await self._validator.look(arrival.as_new(_NO_TOKEN))
        if isinstance(validated, str) or not isinstance(validated.verdict, Measures) or not place.may_follow:
            return None
        ready = self._submitter.ready_at_the_door(validated.execution, validated.verdict)
        return ready if isinstance(ready, Ready) else None


def _is_written_ahead(admission: Admission) -> bool:
    """Tell whether the attempt that came with the trade stands in the ledger."""
    return admission.admittance is Admittance.NEW and admission.execution.state is State.SUBMITTING
