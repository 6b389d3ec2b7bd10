"""Taking in dead letters from the dead-letter queues, each once."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from worker.ledger.job import ask_for_replay, claimed_replay, close_letter, consume, replay_id
from worker.ledger.page import Page
from worker.ledger.records import envelope, json_value
from worker.ledger.refuse import write_refusal
from worker.ledger.view import Question, View
from worker.ports import DeadLetter, Event, RefusedMessage


@dataclass(frozen=True, slots=True)
class TakeIn:
    """The job of one dead letter, and of the confirmation that its sender may have to get."""

    letter: DeadLetter
    tell: RefusedMessage | None
    worker_id: str
    kinds: tuple[str, ...] = ("take_in",)
    steps: None = None

    @property
    def weight(self) -> int:
        """Return the size of the body."""
        return len(self.letter.message.body)

    def ask(self, question: Question) -> None:
        """Ask whether the letter is here already, and whether the ledger knows the trade of its message."""
        letter = self.letter
        question.letters.append(
            {
                "letter_id": letter.letter_id,
                "content_digest": letter.content_digest if letter.message.redelivered else None,
                "account": letter.account,
                "execution_id": letter.execution_id,
                "trade_id": self._trade_id,
                "message_id": letter.message.message_id,
                "replay_id": replay_id(letter.message),
            }
        )
        ask_for_replay(question, letter.message)

    def decide(self, view: View, page: Page) -> bool:
        """Store the letter and tell the sender if nobody did; False when it is here already."""
        known = view.letters[self.letter.letter_id]
        if known["is_here"]:
            return False
        telling = self.tell if known["execution_id"] is None else None
        told_as = None if telling is None else telling.execution_id
        execution_id: UUID | None = known["execution_id"] or self.letter.execution_id or told_as
        self._store(page, execution_id, known["follows"])
        page.append(Event("dead_lettered", self._about(), execution_id))
        if telling is not None:
            write_refusal(page, telling)
        replay = claimed_replay(view, self.letter.message)
        if replay is not None:
            close_letter(page, replay.letter_id, "failed_again")
            consume(view, page, replay, "refused", execution_id)
        view.letters[self.letter.letter_id] = {**known, "is_here": True}
        return True

    @property
    def _trade_id(self) -> str | None:
        return self.letter.trade_id or (self.tell.trade_id if self.tell else None)

    def _store(self, page: Page, execution_id: UUID | None, follows: UUID | None) -> None:
        letter, now = self.letter, page.clock.now()
        page.put(
            "insert_dead_letters",
            letter_id=letter.letter_id,
            desk=page.account,
            source_queue=letter.source_queue,
            account=letter.account,
            reason=letter.reason,
            detail=letter.detail,
            body=letter.message.body,
            envelope=envelope(letter.message),
            headers=json_value(letter.headers),
            trade_id=self._trade_id,
            execution_id=execution_id,
            follows=follows,
            failed_at=min(letter.failed_at or now, now),  # another machine's clock, or whoever wrote the header
            content_digest=letter.content_digest,
            taken_in_at=now,
            taken_in_by=self.worker_id,
        )

    def _about(self) -> dict[str, object]:
        letter = self.letter
        brought_back = {"brought_back_by": letter.brought_back_by} if letter.brought_back_by else {}
        return {
            "letter_id": letter.letter_id,
            "source_queue": letter.source_queue,
            "account": letter.account,
            "reason": letter.reason,
            "trade_id": self._trade_id,
            **brought_back,
        }
