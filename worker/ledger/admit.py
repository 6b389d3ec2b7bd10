"""Admitting an arrival: a new trade is written down, a known one is recognised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.domain.execution import FINAL, Execution
from worker.domain.token import base_token
from worker.ledger.confirmations import reply_address
from worker.ledger.job import ask_for_replay, close_letter, consume, usable_replay
from worker.ledger.page import Page
from worker.ledger.records import attempt_row, envelope, execution_row, step_row
from worker.ledger.view import Question, ReplayRecord, View
from worker.pipeline.recognition import admittance
from worker.ports import Admission, Admittance, Arrival, Change, Event, WriteAhead


@dataclass(frozen=True, slots=True)
class Admit:
    """The job of one arrival."""

    arrival: Arrival
    ahead: WriteAhead | None = None
    steps: None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return what happens in one: it is admitted, and perhaps written ahead."""
        return ("admit",) if self.ahead is None else ("admit", self.ahead.change(0).name)

    @property
    def weight(self) -> int:
        """Return the size of the body."""
        return len(self.arrival.message.body)

    def ask(self, question: Question) -> None:
        """Ask whether the trade is known, for a token in case it is not, and for the replay it claims to be."""
        question.arrivals += 1
        question.ask_for_trade(self.arrival.account, self.arrival.trade)
        ask_for_replay(question, self.arrival.message)

    def decide(self, view: View, page: Page) -> Admission:
        """Tell new from known; the same identity with another decision is a conflict and changes nothing."""
        known = view.find(self.arrival.account, self.arrival.trade)
        replay = usable_replay(view, self.arrival.message)
        found = admittance(self.arrival.trade, known, replayed=replay is not None)
        if known is None:
            return self._write_down(view, page, replay)
        if found is Admittance.CONFLICT:
            return Admission(found, known)
        if found is Admittance.REOPENED and replay is not None:
            return self._reopen(view, page, known, replay)
        return self._recognise(view, page, known, replay)

    def _write_down(self, view: View, page: Page, replay: ReplayRecord | None) -> Admission:
        token = base_token(view.prefixes[-1], view.counters.pop(0))
        execution = self.arrival.as_new(token, stale_allowed=replay is not None and replay.allow_stale)
        change = self._written_ahead(view, execution)
        admitted = execution if change is None else change.after
        page.put("insert_executions", **execution_row(admitted))
        page.append(self._event("received", execution, body=self.arrival.message.body.decode("utf-8", "replace")))
        if change is not None:
            _write(page, change)
        self._settle(view, page, admitted, replay, "new")
        view.begun.add(admitted.execution_id)
        return Admission(Admittance.NEW, admitted)

    def _written_ahead(self, view: View, execution: Execution) -> Change | None:
        """Return the step that writes the first attempt ahead; None when there is none, or a halt forbids it."""
        if self.ahead is None or view.account.halts.of(execution.trade.decision.symbol) is not None:
            return None
        return self.ahead.change(execution.token)

    def _reopen(self, view: View, page: Page, known: Execution, replay: ReplayRecord) -> Admission:
        reopened = known.reopened(stale_allowed=replay.allow_stale)
        page.put("update_executions", **step_row(reopened))
        page.append(self._event("reopened", reopened, replay_id=str(replay.replay_id), after=known.reason))
        self._settle(view, page, reopened, replay, "reopened")
        return Admission(Admittance.REOPENED, reopened)

    def _recognise(self, view: View, page: Page, known: Execution, replay: ReplayRecord | None) -> Admission:
        page.append(self._event("repeated", known))
        confirmation = view.confirmations.get(known.execution_id)
        if confirmation is not None:
            address = reply_address(self.arrival.message, known.trade.identity.trade_id)
            page.send(confirmation, [address] if address else [])
        if replay is not None and known.is_settled:
            close_letter(page, replay.letter_id, "resolved" if known.state in FINAL else "failed_again")
        self._settle(view, page, known, replay, "repeat")
        return Admission(Admittance.REPEAT, known)

    def _settle(
        self, view: View, page: Page, execution: Execution, replay: ReplayRecord | None, consumed_as: str
    ) -> None:
        address = reply_address(self.arrival.message, execution.trade.identity.trade_id)
        if address is not None:
            page.put(
                "insert_reply_addresses",
                execution_id=execution.execution_id,
                reply_to=address.reply_to,
                correlation_id=address.correlation_id,
            )
            view.addresses[execution.execution_id].append(address)
        if replay is not None:
            consume(view, page, replay, consumed_as, execution.execution_id)
        view.note(execution)

    def _event(self, kind: str, execution: Execution, **more: Any) -> Event:
        decision = execution.trade.decision
        return Event(
            kind,
            {
                "trade_id": execution.trade.identity.trade_id,
                "identity_kind": execution.trade.identity.kind,
                "symbol": decision.symbol,
                "direction": int(decision.direction),
                "units": decision.units,
                "intended_price": decision.intended_price,
                "approved_at": decision.approved_at,
                "envelope": envelope(self.arrival.message),
                **more,
            },
            execution.execution_id,
        )


def _write(page: Page, change: Change) -> None:
    """Write what a step brings besides its execution."""
    if change.attempt is not None:
        page.put("upsert_attempts", **attempt_row(change.after.execution_id, change.attempt))
    for event in change.events:
        page.append(event)
