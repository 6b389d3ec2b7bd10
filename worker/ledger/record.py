"""Recording one step of an execution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import structlog

from worker.domain.errors import HaltedAtCommit, StaleRevision
from worker.domain.execution import Execution
from worker.ledger.confirmations import Confirmation
from worker.ledger.page import Page
from worker.ledger.records import attempt_row, deal_row, step_row
from worker.ledger.view import Question, View
from worker.ports import Change, Event

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Record:
    """The job of one change."""

    change: Change

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the state it leads to and what has happened on the way."""
        return (self.change.name,)

    @property
    def steps(self) -> UUID:
        """Return the execution that moves on."""
        return self.change.after.execution_id

    @property
    def weight(self) -> int:
        """Return the size of the dead letter's body, if there is one."""
        return 0 if self.change.dead_letter is None else len(self.change.dead_letter.body)

    def ask(self, question: Question) -> None:
        """Ask where the execution stands, who wants a copy of its confirmation, and whose its deals were said to be."""
        question.executions.append(self.steps)
        if self.change.confirmation is not None:
            question.addresses.append(self.steps)
        question.deals.extend(deal.deal_id for deal in self.change.deals if deal.attested_by is None)

    def decide(self, view: View, page: Page) -> Execution:
        """Write the step; raises StaleRevision or HaltedAtCommit and writes nothing."""
        self._refuse_the_impossible(view)
        after = self.change.after
        page.put("update_executions", **step_row(after))
        self._write_parts(page)
        if after.is_settled and after.execution_id in view.replayed:
            self._close_letters(page)
        for event in (*self._refuted(view), *self.change.events):
            page.append(event)
        confirmation: Confirmation | None = None
        if self.change.confirmation is not None:
            confirmation = page.confirm(self.change.confirmation, view.addresses[after.execution_id])
        if self.change.dead_letter is not None:
            page.queue(self.change.dead_letter, after.execution_id)
        view.note(after)
        if confirmation is not None:
            view.confirmations[after.execution_id] = confirmation
        return after

    def _refuse_the_impossible(self, view: View) -> None:
        after = self.change.after
        held = view.revisions.get(after.execution_id)
        if held is None or after.revision != held + 1:
            raise StaleRevision(f"execution {after.execution_id}: revision {after.revision} cannot follow {held}")
        halt = view.account.halts.of(after.trade.decision.symbol)
        if self.change.writes_ahead_a_send and halt is not None:
            raise HaltedAtCommit(after.account, halt)

    def _refuted(self, view: View) -> Iterator[Event]:
        """Tell of each deal that an operator had attested for another execution: that one was not executed by it."""
        for deal in self.change.deals:
            owner, trade_id = view.attested.get(deal.deal_id, (self.steps, ""))
            if deal.attested_by is None and owner != self.steps:
                detail = (
                    f"deal {deal.deal_id} was attested for execution {owner}, and the broker shows it as one of "
                    f"execution {self.steps}: what was told of the first is not true; look for its own order"
                )
                _log.error("attestation_refuted", alert=True, execution_id=str(owner), trade_id=trade_id, detail=detail)
                yield Event("alert", {"alert": "attestation_refuted", "detail": detail}, owner)

    def _write_parts(self, page: Page) -> None:
        after = self.change.after
        if self.change.attempt is not None:
            page.put("upsert_attempts", **attempt_row(after.execution_id, self.change.attempt))
        for deal in self.change.deals:
            page.put("insert_deals", **deal_row(after, deal))
        if self.change.deals and after.version > 1:  # only what was settled before can hold attested deals
            kept = [deal.deal_id for deal in after.deals]
            page.put("withdraw_attested_deals", execution_id=after.execution_id, kept=kept)

    def _close_letters(self, page: Page) -> None:
        state = "failed_again" if self.change.dead_letter is not None else "resolved"
        page.put("close_letters_of_executions", execution_id=self.steps, state=state, state_at=page.clock.now())
