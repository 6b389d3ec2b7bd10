"""Counters and histograms: what has happened since the process began."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from functools import wraps
from itertools import pairwise
from typing import ParamSpec

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from worker.domain.execution import Execution
from worker.domain.message import MessageKind, OutgoingMessage
from worker.domain.slippage import Slippage
from worker.monitoring import labels
from worker.ports import Arrival, Change, Clock, RefusedMessage

_P = ParamSpec("_P")

MOST_UNPUBLISHED = 20_000  # confirmations whose way to RabbitMQ is being timed; the oldest are forgotten first

_CALL_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_JOBS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_PIPS = (-10, -5, -2, -1, -0.5, -0.2, 0, 0.2, 0.5, 1, 2, 5, 10, 20)


_log = structlog.get_logger()
_Note = Callable[_P, None]


def _harmless(note: _Note[_P]) -> _Note[_P]:
    """See to it that no defect here reaches who tells of his work: a figure is missing, no trade."""

    @wraps(note)
    def noted(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            note(*args, **kwargs)
        except Exception:  # noqa: BLE001 - logged whole
            _log.exception("not_measured", meaning="metrics lack a figure; trades are not affected")

    return noted


class Instruments:
    """
    Implements `Meter` in a registry of its own; the parts that are not the ledger's are told by their own names.

    The stages of a trade are worked out from the times that it was stamped with, when its first confirmation is
    committed and when that is published; trades that another worker has begun are measured as far as those tell.
    """

    def __init__(self, registry: CollectorRegistry, clock: Clock, max_slippage_pips: Decimal) -> None:
        self._clock = clock
        self._unpublished: OrderedDict[str, tuple[datetime, datetime]] = OrderedDict()
        self._count_trades(registry)
        self._count_troubles(registry)
        self._measure_work(registry, max_slippage_pips)

    @_harmless
    def committed(self, jobs: int, seconds: float) -> None:
        """Take note of a group commit."""
        self._commit_jobs.observe(jobs)
        self._commit_seconds.observe(seconds)

    @_harmless
    def admitted(self, arrival: Arrival) -> None:
        """Take note of a new trade."""
        self._took("intake", arrival.received_at, self._clock.now())

    @_harmless
    def recorded(self, change: Change) -> None:
        """Take note of a step, if it settles its execution: the first time, or later and otherwise than before."""
        after = change.after
        if change.confirmation is None or after.settled_at is None:
            return
        self._note_slippage(change.confirmation.slippage)
        if after.version > 1:
            self._late_evidence.inc()
            return
        self._count_ending(after)
        self._time_stages(after)
        self._unpublished[f"{after.execution_id}:{after.version}"] = (after.received_at, after.settled_at)
        if len(self._unpublished) > MOST_UNPUBLISHED:
            self._unpublished.popitem(last=False)

    @_harmless
    def refused(self, refused: RefusedMessage) -> None:
        """Take note of a refused message."""
        self._refused_messages.labels(labels.known(refused.reason, labels.REFUSALS)).inc()

    @_harmless
    def published(self, messages: Iterable[OutgoingMessage]) -> None:
        """Take note of messages that RabbitMQ has confirmed; a confirmation that comes again is not timed again."""
        now = self._clock.now()
        for message in messages:
            times = self._unpublished.pop(message.message_id or "", None)
            if times is not None and message.kind is MessageKind.CONFIRMATION:
                received_at, settled_at = times
                self._took("publication", settled_at, now)
                self._took("whole", received_at, now)

    @_harmless
    def called(self, call: str, seconds: float, *, failed: bool) -> None:
        """Take note of a call to the terminal, one of `labels.CALLS`: how long it took, and whether it failed."""
        self._calls[call].observe(seconds)
        if failed:
            self._terminal_errors.labels(call).inc()

    def _count_ending(self, after: Execution) -> None:
        self._trades[labels.ending(after.state.value, after.reason or "")].inc()

    def _time_stages(self, after: Execution) -> None:
        """Where deals decide, their time is the broker's clock: `fill` and `settlement` are as exact as that is."""
        ends = (after.received_at, after.validated_at, after.accepted_at)
        for stage, (began, ended) in zip(("validation", "send"), pairwise(ends), strict=True):
            self._took(stage, began, ended)
        self._took("fill", after.submitted_at, after.filled_at)
        self._took("settlement", after.filled_at, after.settled_at)

    def _took(self, stage: str, began: datetime | None, ended: datetime | None) -> None:
        if began is not None and ended is not None:
            self._stages[stage].observe(max(0.0, (ended - began).total_seconds()))

    def _note_slippage(self, slipped: Slippage | None) -> None:
        if slipped is not None:
            self._slippage_pips.observe(float(slipped.adverse_pips))
            self._slippage_exceeded.inc(slipped.exceeded)

    def _count_trades(self, registry: CollectorRegistry) -> None:
        trades = Counter(
            "mt5_worker_trades",
            "Trades by how they ended, when first settled; `unresolved` ones need a person.",
            ["status", "reason"],
            registry=registry,
        )
        self._trades = {ending: trades.labels(*ending) for ending in labels.endings()}
        self._late_evidence = Counter(
            "mt5_worker_late_evidence",
            "Confirmations that replace an earlier one: a late deal, an unresolved trade settled, a replay.",
            registry=registry,
        )
        self._slippage_exceeded = Counter(
            "mt5_worker_slippage_exceeded",
            "Confirmations with more adverse slippage than MAX_SLIPPAGE_PIPS.",
            registry=registry,
        )

    def _count_troubles(self, registry: CollectorRegistry) -> None:
        self._refused_messages = Counter(
            "mt5_worker_refused_messages",
            "Messages refused before they were a trade; each is a dead letter.",
            ["reason"],
            registry=registry,
        )
        for reason in sorted(labels.REFUSALS | {labels.OTHER}):
            self._refused_messages.labels(reason)
        self._terminal_errors = Counter(
            "mt5_worker_terminal_errors",
            "Calls to the terminal that brought no answer to go by.",
            ["call"],
            registry=registry,
        )
        for call in labels.CALLS:
            self._terminal_errors.labels(call)

    def _measure_work(self, registry: CollectorRegistry, max_slippage_pips: Decimal) -> None:
        stages = Histogram(
            "mt5_worker_stage_seconds",
            "How long the stages of a trade took; `whole`: from its message to its confirmation's publication.",
            ["stage"],
            registry=registry,
            buckets=_STAGE_SECONDS,
        )
        self._stages = {stage: stages.labels(stage) for stage in labels.STAGES}
        calls = Histogram(
            "mt5_worker_terminal_call_seconds",
            "How long calls to the terminal took, waiting for their turn included.",
            ["call"],
            registry=registry,
            buckets=_CALL_SECONDS,
        )
        self._calls = {call: calls.labels(call) for call in labels.CALLS}
        self._commit_seconds = Histogram(
            "mt5_worker_commit_seconds",
            "How long group commits to PostgreSQL took, outages included.",
            registry=registry,
            buckets=_CALL_SECONDS,
        )
        self._commit_jobs = Histogram(
            "mt5_worker_commit_jobs", "How many jobs a group commit held.", registry=registry, buckets=_JOBS
        )
        self._slippage_pips = Histogram(
            "mt5_worker_slippage_pips",
            "Slippage of fills in pips, positive is worse for us.",
            registry=registry,
            buckets=sorted({*map(float, _PIPS), float(max_slippage_pips)}),
        )
