"""Recovery's first step, at start and at take-over: see that all the broker has of ours is in this ledger."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from worker.domain.limits import Throttle
from worker.pipeline.late import LateEvidence
from worker.pipeline.search import Look, Searcher
from worker.ports import Clock, Ledger

AGAIN_SECONDS = 0.5

_log = structlog.get_logger()


class Recovery:
    """
    Scans the broker for orders that carry our token and are not in the ledger; nothing is sent before it has been done.

    After it every open execution is driven again, from where the ledger says it stands. Being interrupted anywhere
    costs nothing: the scan changes the ledger only where it found something, and is done anew by the next worker.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - one place where these parts meet
        self,
        searcher: Searcher,
        late: LateEvidence,
        ledger: Ledger,
        clock: Clock,
        throttle: Throttle,
        patience: float,
    ) -> None:
        self._searcher, self._late, self._ledger, self._clock = searcher, late, ledger, clock
        self._throttle, self._patience = throttle, patience

    async def scan(self) -> None:
        """Compare all orders and deals of ours since the watermark with the ledger; waits until they can be read."""
        look = await self._read(self._ledger.watermark.since(self._clock.now()))
        await self._late.take(look.evidence)

    async def recall(self) -> None:
        """Count the orders that were written ahead before this worker began and still count for a limit."""
        if memory := self._throttle.limits.memory:
            now, monotonic = self._clock.now(), self._clock.monotonic()
            orders = await self._ledger.orders_since(now - timedelta(seconds=memory))
            self._throttle.remember(orders, now, monotonic)

    async def _read(self, since: datetime) -> Look:
        lacking_since: float | None = None
        told = ""
        while not (look := await self._searcher.look(since)).search.readable:
            if look.search.detail != told:
                told = look.search.detail
                _log.warning("recovery_waits", detail=told, meaning="no trade is taken before the broker can be read")
            lacking_since = (lacking_since or look.began) if look.search.lacks_witness else None
            if lacking_since is not None and look.began - lacking_since > self._patience:
                self._go_on_without_the_witness(told)
            await asyncio.sleep(AGAIN_SECONDS)
        return look

    def _go_on_without_the_witness(self, detail: str) -> None:
        """Tell a person: a history that stays without a deal it once had is not late, it is another one."""
        _log.error(
            "history_differs",
            alert=True,
            detail=detail,
            meaning="the broker's history has lost a deal, or this is another history; trading goes on, compare both",
        )
        self._ledger.forget_witness()
