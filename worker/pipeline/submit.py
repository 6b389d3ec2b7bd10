"""Stages 2 to 4: the request is written ahead, sent once, and its answer is judged by what it proves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from worker.domain.absence import SENT_WITHIN
from worker.domain.checks import Measures, Refusal
from worker.domain.errors import HaltedAtCommit, WorkerError
from worker.domain.evidence import Conclusion
from worker.domain.execution import Attempt, Execution, State
from worker.domain.limits import Counted, Order, Throttle
from worker.domain.market import NotSentReason, OrderRequest, SendReport, SendStatus
from worker.domain.outcomes import Judgement, Proof, judge
from worker.domain.token import MAX_ATTEMPTS, attempt_token, comment_of
from worker.pipeline.runway import Runways
from worker.pipeline.settle import Settler, end_shown
from worker.pipeline.turns import Place
from worker.pipeline.watch import Watch
from worker.ports import Change, Clock, Event, Ledger, Terminal
from worker.settings import SEND_DEADLINE_SECONDS, Settings

MOMENT_SECONDS = 0.1  # for the end of an order to show; a crash meanwhile finds an answer that nobody has written down


@dataclass(frozen=True, slots=True)
class Ready:
    """An attempt that may be written ahead: the checks have passed, the limits have admitted it, and count it."""

    validated: Execution
    measures: Measures
    counted: Counted
    written_at: datetime
    sender: str

    def attempt(self, token: int) -> Attempt:
        """Return the attempt of the trade that has this base token."""
        number = self.validated.attempts + 1
        magic = attempt_token(token, number)
        return Attempt(number, magic, self.measures.lots, written_at=self.written_at, sender=self.sender)

    def change(self, token: int) -> Change:
        """Return the step that writes it ahead."""
        attempt, validated = self.attempt(token), self.validated
        after = validated.knowing(token=token).advance(State.SUBMITTING, attempts=attempt.number)
        payload = {"attempt": attempt.number, "magic": str(attempt.magic), "lots": str(attempt.lots)}
        event = Event("submitting", payload | _touch(validated), validated.execution_id)
        return Change(after=after, events=(event,), attempt=attempt, writes_ahead_a_send=True)


class Submitter:
    """Makes one attempt. Whatever it returns is already in the ledger."""

    def __init__(  # noqa: PLR0913, PLR0917 - one place where these parts meet
        self,
        ledger: Ledger,
        terminal: Terminal,
        clock: Clock,
        settings: Settings,
        settler: Settler,
        runways: Runways,
        throttle: Throttle,
        watch: Watch,
    ) -> None:
        self._ledger, self._terminal, self._clock, self._settings = ledger, terminal, clock, settings
        self._settler, self._watch = settler, watch
        self._runways, self._throttle = runways, throttle
        self._undecided = 0  # attempts of trades at the door, which may turn out to be known
        self._decision = asyncio.Event()

    async def submit(self, validated: Execution, measures: Measures, place: Place) -> Execution:
        """Write the attempt ahead, send it when its turn has come, record what its answer proves."""
        if validated.attempts >= MAX_ATTEMPTS:
            end = _exhausted(validated, f"all {MAX_ATTEMPTS} attempt numbers are used")
            return await self._settler.concluded(validated, end)
        ready = self.ready(validated, measures)
        if isinstance(ready, Refusal):
            if self._undecided:
                await self._decision.wait()
                return validated  # there may be room now: it is validated anew
            return await self._settler.refused(validated, ready)
        try:
            written = await self._write_ahead(ready)
        except HaltedAtCommit as halted:
            if halted.halt.hold:
                return validated
            return await self._settler.refused(validated, Refusal("rejected", "trading_halted", str(halted)))
        return await self.send(written, ready, place)

    def ready(self, validated: Execution, measures: Measures) -> Ready | Refusal:
        """Count an attempt that has passed the checks; `withdraw` it if it is not written ahead after all."""
        counted = self._throttle.admit(_counted(validated), self._clock.monotonic())
        if isinstance(counted, Refusal):
            return counted
        sender = self._terminal.sender_of(measures.instrument.symbol)
        return Ready(validated, measures, counted, self._clock.now(), sender)

    def ready_at_the_door(self, validated: Execution, measures: Measures) -> Ready | Refusal:
        """Count an attempt of a trade that may be known already; `decide` it when the ledger has told."""
        ready = self.ready(validated, measures)
        self._undecided += isinstance(ready, Ready)
        return ready

    def decide(self, ready: Ready, *, is_written_ahead: bool) -> None:
        """Count an attempt from the door for good, or not at all."""
        if not is_written_ahead:
            self.withdraw(ready)
        self._undecided -= 1
        self._decision.set()
        self._decision = asyncio.Event()

    def withdraw(self, ready: Ready) -> None:
        """Do not count an attempt: it was not written ahead."""
        self._throttle.withdraw(ready.counted)

    async def send(self, written: Execution, ready: Ready, place: Place) -> Execution:
        """Send what is written ahead when its turn has come; record what its answer proves."""
        attempt = ready.attempt(written.token)
        order, began = self._order(written, attempt, ready.measures), self._clock.monotonic()  # its deadline begins
        # Several of a symbol are written ahead together, each is sent after the one before it.
        in_time = await place.first(order.send_before_monotonic - began)
        report = self._kept_back(written, in_time=in_time) or await self._answer(order, attempt)
        self._teach(written.trade.decision.symbol, report, began)
        return await self._judged(written, attempt, report, place)

    def _kept_back(self, written: Execution, *, in_time: bool) -> SendReport | None:
        """Return why an order that was written ahead is not handed over after all; None when it is."""
        halt = self._ledger.halts.of(written.trade.decision.symbol)
        if halt is not None:
            return SendReport(SendStatus.NOT_SENT, NotSentReason.HALTED, detail=str(halt))
        if not in_time:
            detail = "the trade before it took longer than this send had time"
            return SendReport(SendStatus.NOT_SENT, NotSentReason.DEADLINE, detail=detail)
        return None

    def _teach(self, symbol: str, report: SendReport, began: float) -> None:
        """Tell the runway how long the order took from its write-ahead to its answer, or that it was too long."""
        if report.reason is NotSentReason.DEADLINE:
            self._runways.too_late(symbol)
        elif report.reason is not NotSentReason.HALTED:
            self._runways.answered(symbol, began, self._clock.monotonic())

    async def _answer(self, order: OrderRequest, attempt: Attempt) -> SendReport:
        report = await self._terminal.submit(order)
        self._watch.answered(report)
        if report.status is SendStatus.NO_ANSWER and report.sent_at is None:
            return replace(report, sent_at=attempt.written_at)  # its process was ended: no earlier than this
        return report

    async def _write_ahead(self, ready: Ready) -> Execution:
        try:
            return await self._ledger.record(ready.change(ready.validated.token))
        except WorkerError:  # it is not written
            self.withdraw(ready)
            raise

    def _order(self, execution: Execution, attempt: Attempt, measures: Measures) -> OrderRequest:
        direction = execution.trade.decision.direction
        first = execution.first_touch or measures.touch
        venue = execution.venue
        if venue is None:
            raise ValueError("a validated execution knows its venue")
        within = self._time_left(attempt)
        return OrderRequest(
            symbol=measures.instrument.symbol,
            direction=direction,
            lots=attempt.lots,
            magic=attempt.magic,
            comment=comment_of(attempt.magic),
            worst_price=first + int(direction) * measures.max_slippage_pips * measures.pip,
            send_before=self._clock.now() + timedelta(seconds=within),
            send_before_monotonic=self._clock.monotonic() + within,
            login=venue.login,
            server=venue.server,
        )

    def _time_left(self, attempt: Attempt) -> float:
        """Return within how many seconds the send may begin; 0 or less: not at all, as its commit took too long."""
        now = self._clock.now()
        since_written = now - (attempt.written_at or now)
        return min(SEND_DEADLINE_SECONDS, self._ledger.lease_left, (SENT_WITHIN - since_written).total_seconds())

    async def _judged(self, written: Execution, attempt: Attempt, report: SendReport, place: Place) -> Execution:
        judgement = judge(report)
        attempt = _answered(attempt, report, judgement)
        event = _answered_event(written, attempt, report)
        may_have_left = report.status is SendStatus.ANSWERED or judgement.proof is Proof.AMBIGUOUS
        sends = written.sends + may_have_left
        tried = written.knowing(sends=sends, submitted_at=report.sent_at or written.submitted_at)
        goes_again = judgement.proof in {Proof.RETRY, Proof.WAIT} and (
            sends - written.round_start < self._settings.max_retries
        )
        if goes_again:
            place.slow_down(is_late=report.reason is NotSentReason.DEADLINE)
            return await self._record(tried.advance(State.RECEIVED), event, attempt)
        place.leave()  # the next order of the symbol goes while this answer is recorded
        match judgement.proof:
            case Proof.ACCEPTED:
                taken = tried.knowing(order_ticket=report.order_ticket or None, accepted_at=self._clock.now())
                return await self._taken(taken, event, attempt)
            case Proof.AMBIGUOUS:
                return await self._record(tried.advance(State.UNKNOWN, detail=judgement.detail), event, attempt)
            case Proof.REFUSED:
                end = Conclusion(State.REJECTED, judgement.reason, judgement.detail)
            case _:
                end = _exhausted(tried, judgement.detail)
        return await self._settler.concluded(tried, end, attempt=attempt, before=(event,))

    async def _taken(self, taken: Execution, event: Event, attempt: Attempt) -> Execution:
        """Record that the broker has the order, together with the order's end when that shows within a moment."""
        sighting = self._watch.expect(taken.token)
        end = await sighting.first(partial(end_shown, taken), MOMENT_SECONDS)
        if end is None:
            return await self._record(taken.advance(State.ACCEPTED), event, attempt)
        deals = sighting.evidence.new_deals(taken)
        return await self._settler.concluded(taken, end, deals=deals, attempt=attempt, before=(event,))

    async def _record(self, after: Execution, event: Event, attempt: Attempt) -> Execution:
        return await self._ledger.record(Change(after=after, events=(event,), attempt=attempt))


def _exhausted(execution: Execution, last: str) -> Conclusion:
    detail = f"{execution.sends} sends, each proved not executed; the last answer: {last}"
    return Conclusion(State.ERROR, "network_error", detail)


def _answered(attempt: Attempt, report: SendReport, judgement: Judgement) -> Attempt:
    """Return the attempt with what the terminal answered, and what that proves."""
    return replace(
        attempt,
        detail=judgement.detail,
        outcome=judgement.proof.value,
        request=dict(report.request),
        reply=None if report.reply is None else dict(report.reply),
        retcode=report.retcode,
        last_error=report.last_error,
        order_ticket=report.order_ticket or None,
        sent_at=report.sent_at,
        answered_at=report.answered_at,
    )


def _answered_event(execution: Execution, attempt: Attempt, report: SendReport) -> Event:
    """Return the audit event with the raw request and reply of the broker."""
    payload = {
        "attempt": attempt.number,
        "status": report.status.value,
        "not_sent_because": None if report.reason is None else report.reason.value,
        "proof": attempt.outcome,
        "retcode": report.retcode,
        "last_error": report.last_error,
        "detail": report.detail,
        "request": dict(report.request),
        "reply": None if report.reply is None else dict(report.reply),
        "sent_at": report.sent_at.isoformat() if report.sent_at else None,
        "answered_at": report.answered_at.isoformat() if report.answered_at else None,
    }
    return Event("answered", payload, execution.execution_id)


def _counted(validated: Execution) -> Order:
    decision = validated.trade.decision
    symbol = validated.broker_symbol or decision.symbol  # SYMBOL_MAP may give one symbol of the broker several names
    return Order(symbol, decision.direction, decision.units or Decimal(0), is_retry=validated.attempts > 0)


def _touch(validated: Execution) -> dict[str, str | None]:
    return {
        "symbol": validated.broker_symbol,
        "first_touch": None if validated.first_touch is None else str(validated.first_touch),
        "validated_at": validated.validated_at.isoformat() if validated.validated_at else None,
    }
