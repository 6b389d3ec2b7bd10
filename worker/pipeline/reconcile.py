"""
What becomes of an execution whose outcome is unknown: it is found, or proved absent, or given to a person.

Unknown is not failed. Nothing is sent again before the absence of what was sent is proved (see `domain/absence.py`).
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from worker.domain.absence import Absence, hindrance, is_decisive, is_held, is_own
from worker.domain.checks import too_old
from worker.domain.errors import LeaseLost, ServiceUnavailable, StaleRevision
from worker.domain.evidence import Conclusion, Evidence
from worker.domain.execution import Attempt, Deal, Execution, State
from worker.domain.market import BrokerOrder
from worker.domain.token import MAX_ATTEMPTS
from worker.pipeline.naming import named
from worker.pipeline.search import Look, Searcher
from worker.pipeline.settle import Settler, deal_payload, end_shown, with_deals
from worker.pipeline.watch import Watch
from worker.ports import Change, Clock, Event, Ledger
from worker.settings import SEND_DEADLINE_SECONDS, Settings

SEARCH_UNRESOLVED_SECONDS = 5.0
YOUNG = timedelta(hours=1)  # since it was told as unresolved
OLD_EVERY = 60  # rounds: five minutes
_MARGIN = timedelta(minutes=5)  # behind the write-ahead; the session adds a day

_Case = tuple[Execution, Attempt, Absence]

_log = structlog.get_logger()


class Reconciler:
    """Seeks the evidence, for one execution at a time or, in the background, for all that are unresolved."""

    def __init__(  # noqa: PLR0913, PLR0917 - one place where these six parts meet
        self, ledger: Ledger, settler: Settler, searcher: Searcher, watch: Watch, clock: Clock, settings: Settings
    ) -> None:
        self._ledger, self._settler, self._searcher = ledger, settler, searcher
        self._watch, self._clock, self._settings = watch, clock, settings
        self._limits = settings.limits
        self._cases: dict[UUID, Absence] = {}  # of unresolved executions

    async def interrupted(self, execution: Execution) -> Execution:
        """Take over a send that was written ahead by a worker that did not live to see its answer."""
        detail = "the worker ended between the write-ahead of the send and the record of its answer"
        event = Event("interrupted", {"detail": detail, "attempt": execution.attempts}, execution.execution_id)
        after = execution.advance(State.UNKNOWN, detail=detail, sends=execution.sends + 1)
        return await self._ledger.record(Change(after=after, events=(event,)))

    async def doubted(self, execution: Execution, seen: Evidence) -> Execution:
        """Stop a trade on its way to an attempt: the broker shows one that was proved absent, or that nobody knows."""
        forgotten = seen.forgotten_attempt(execution)
        if forgotten is not None:
            return await self._remembered(execution, forgotten)
        detail = f"attempt {execution.attempts} or one before it was proved not executed, and now the broker shows it"
        _log.error("proof_refuted", alert=True, detail=detail)
        return await self._doubt(execution.advance(State.UNKNOWN, detail=detail), "proof_refuted")

    async def _remembered(self, execution: Execution, attempt: Attempt) -> Execution:
        """Write down what was sent by the lost part of a restored ledger; its end is sought like any other."""
        detail = f"the broker shows attempt {attempt.number}, and this ledger, being an older copy, never wrote it down"
        _log.error("forgotten_attempt", alert=True, detail=detail)
        after = execution.remembering(attempt).advance(State.UNKNOWN, detail=detail)
        return await self._doubt(after, "forgotten_attempt", attempt)

    async def _doubt(self, after: Execution, alert: str, attempt: Attempt | None = None) -> Execution:
        event = Event("alert", {"alert": alert, "detail": after.detail}, after.execution_id)
        return await self._ledger.record(Change(after=after, events=(event,), attempt=attempt))

    async def seek(self, execution: Execution) -> Execution:
        """Search until the attempt is found or proved absent; return it unresolved when neither seems possible."""
        attempt = await self._ledger.latest_attempt(execution.execution_id)
        absence, sighting = self._begin_proof(), self._watch.register(execution.token)
        while True:
            found = await self._found(execution, attempt, sighting.evidence)
            if found is not None:
                return found
            if absence.is_proved(self._watch.lag) and not sighting.evidence:
                return await self._absent(execution, attempt, absence)
            if absence.is_hopeless(self._clock.monotonic()):
                return await self._unresolved(execution, absence.hindrance or "", sighting.evidence)
            look = await self._look([(execution, attempt, absence)])
            sighting.evidence.add(look.evidence.get(execution.token))
            self._note(absence, look, execution, attempt, sighting.evidence)

    async def search_on(self) -> None:
        """Search for ever for what is unresolved: evidence may still come, and ends it without a person."""
        for round_ in itertools.count():
            await asyncio.sleep(SEARCH_UNRESOLVED_SECONDS)
            executions = await self._ledger.unresolved()
            self._cases = {
                one.execution_id: self._cases.get(one.execution_id) or self._begin_proof() for one in executions
            }
            # One that is old takes a long look back: it is searched for now and then.
            due = executions if round_ % OLD_EVERY == 0 else [one for one in executions if self._is_young(one)]
            if due:
                await self._search_for([await self._case(one) for one in due])

    async def _case(self, execution: Execution) -> _Case:
        attempt = await self._ledger.latest_attempt(execution.execution_id)
        return execution, attempt, self._cases[execution.execution_id]

    def _is_young(self, execution: Execution) -> bool:
        return self._clock.now() - (execution.settled_at or execution.received_at) < YOUNG

    async def _search_for(self, cases: list[_Case]) -> None:
        look = await self._look(cases)
        for execution, attempt, absence in cases:
            with named(execution):
                await self._judge_alone(execution, attempt, absence, look)

    async def _judge_alone(self, execution: Execution, attempt: Attempt, absence: Absence, look: Look) -> None:
        """Judge one trade; its defect must not end the others, and it is searched for again."""
        try:
            await self._judge(execution, attempt, absence, look)
        except StaleRevision:
            _log.info("resolved_meanwhile")  # by an operator
        except (LeaseLost, ServiceUnavailable):
            raise
        except Exception:  # noqa: BLE001 - told to a person
            _log.exception("search_failed", alert=True)

    async def _judge(self, execution: Execution, attempt: Attempt, absence: Absence, look: Look) -> None:
        seen = look.evidence.get(execution.token) or Evidence()
        self._note(absence, look, execution, attempt, seen)
        found = await self._found(execution, attempt, seen)
        if found is None and absence.is_proved(self._watch.lag):
            await self._absent(execution, attempt, absence)

    def _begin_proof(self) -> Absence:
        # The send began before its deadline; where it was answered long ago, this only waits a little longer.
        return Absence(self._clock.monotonic() + SEND_DEADLINE_SECONDS, self._settings.unknown_horizon_seconds)

    def _note(self, absence: Absence, look: Look, execution: Execution, attempt: Attempt, seen: Evidence) -> None:
        absence.note(
            look.began,
            self._clock.monotonic(),
            hindrance(look.search, execution, attempt, seen),
            readable=is_decisive(look.search, attempt),
            held=is_held(look.search, attempt),
            own=is_own(look.search, attempt),
        )

    async def _look(self, cases: list[_Case]) -> Look:
        now = self._clock.monotonic()
        since = min(attempt.written_at or execution.received_at for execution, attempt, _ in cases) - _MARGIN
        symbols = frozenset(_symbol(execution) for execution, _, _ in cases)
        trades = frozenset(execution.token for execution, _, _ in cases)
        doubtful = (attempt for _, attempt, absence in cases if absence.wants_own_look(now))
        senders = frozenset(attempt.sender for attempt in doubtful if attempt.sender is not None)
        return await self._searcher.look(since, symbols, trades, senders)

    async def _found(self, execution: Execution, attempt: Attempt, evidence: Evidence) -> Execution | None:
        """Settle or adopt what was found; None while there is nothing, or not enough to tell how it ended."""
        deals = evidence.new_deals(execution)
        order = evidence.order_of(execution)
        conclusion = end_shown(execution, evidence)
        attempt = replace(
            attempt, outcome="found", order_ticket=attempt.order_ticket if order is None else order.ticket
        )
        event = _found_event(execution, attempt, order, deals)
        if conclusion is not None:
            placed = execution if order is None else replace(execution, order_ticket=order.ticket)
            return await self._settler.concluded(placed, conclusion, deals=deals, attempt=attempt, before=(event,))
        if order is None or order.is_over:
            return None
        after = execution.advance(State.ACCEPTED, **self._as_accepted(execution, order, deals))
        return await self._ledger.record(Change(after=after, events=(event,), attempt=attempt, deals=deals))

    def _as_accepted(self, execution: Execution, order: BrokerOrder, deals: tuple[Deal, ...]) -> dict[str, Any]:
        changes = {"accepted_at": execution.accepted_at or self._clock.now(), "detail": None, "reason": None}
        return changes | with_deals(execution, deals) | {"order_ticket": order.ticket}

    async def _absent(self, execution: Execution, attempt: Attempt, absence: Absence) -> Execution:
        """Go on from a send that is proved to have left nothing: another attempt if that is allowed, else the end."""
        attempt = replace(attempt, outcome="absent")
        event = Event(
            "proved_absent",
            {
                "attempt": attempt.number,
                "looks": absence.empty_looks,
                "seconds_between_looks": round((absence.last_empty or 0) - (absence.first_empty or 0), 3),
                "horizon_seconds": absence.horizon,
                "observed_lag_seconds": round(self._watch.lag, 3),
            },
            execution.execution_id,
        )
        refusal = self._no_other_attempt(execution)
        if refusal is None:
            after = execution.advance(State.RECEIVED, detail=None)
            return await self._ledger.record(Change(after=after, events=(event,), attempt=attempt))
        detail = f"attempt {attempt.number} is proved not executed; {refusal}"
        end = Conclusion(State.ERROR, "network_error", detail)
        return await self._settler.concluded(execution, end, attempt=attempt, before=(event,))

    def _no_other_attempt(self, execution: Execution) -> str | None:
        """Tell why there is no other attempt; None when there is."""
        sends = execution.sends - execution.round_start
        if execution.state is State.UNRESOLVED:
            return "it had been told as unresolved, and what was told so is not sent again"
        if not self._settings.retry_after_proven_absent:
            return "RETRY_AFTER_PROVEN_ABSENT forbids another"
        if sends >= self._settings.max_retries or execution.attempts >= MAX_ATTEMPTS:
            return f"no other is left after {sends} sends"
        return too_old(execution, self._limits, self._clock.now())

    async def _unresolved(self, execution: Execution, why: str, evidence: Evidence) -> Execution:
        """Hand an unknown outcome to a person, and search on."""
        detail = (
            f"attempt {execution.attempts} of {_symbol(execution)} may or may not stand at the broker "
            f"({execution.detail or 'its answer proves nothing'}), and this cannot be decided: {why}. It is not sent "
            f"again, the search goes on. Look for the order in the terminal by its magic number or comment, then end "
            f"it with `mt5-worker executions resolve`."
        )
        _log.error("outcome_unknown", alert=True, detail=detail)
        alert = Event("alert", {"alert": "outcome_unknown", "detail": detail}, execution.execution_id)
        end = Conclusion(State.UNRESOLVED, "outcome_unknown", detail)
        deals = evidence.new_deals(execution)
        return await self._settler.concluded(execution, end, deals=deals, before=(alert,))


def _symbol(execution: Execution) -> str:
    return execution.broker_symbol or execution.trade.decision.symbol


def _found_event(execution: Execution, attempt: Attempt, order: BrokerOrder | None, deals: tuple[Deal, ...]) -> Event:
    payload = {
        "attempt": attempt.number,
        "order_id": None if order is None else str(order.ticket),
        "order_state": None if order is None else order.state,
        "deals": [deal_payload(deal) for deal in deals],
    }
    return Event("found", payload, execution.execution_id)
