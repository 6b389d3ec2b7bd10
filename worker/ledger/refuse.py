"""Refusing a message: it becomes a dead letter, and its sender is told."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from worker.domain.message import IncomingMessage
from worker.ledger.confirmations import reply_address
from worker.ledger.job import ask_for_replay, close_letter, consume, usable_replay
from worker.ledger.page import Page
from worker.ledger.records import envelope
from worker.ledger.view import Question, View
from worker.ports import Event, RefusedMessage


def content_digest(message: IncomingMessage) -> str:
    """Return what a redelivery of a message has in common with its first delivery: all but the broker's headers."""
    properties = envelope(message)
    properties["redelivered"] = None
    properties["headers"] = {name: value for name, value in properties["headers"].items() if name[:2] != "x-"}
    about = json.dumps(properties, sort_keys=True).encode()
    return hashlib.sha256(hashlib.sha256(message.body).digest() + about).hexdigest()


@dataclass(frozen=True, slots=True)
class Refuse:
    """The job of one refused message."""

    refused: RefusedMessage
    kinds: tuple[str, ...] = ("refuse",)
    steps: None = None

    @property
    def weight(self) -> int:
        """Return the size of the body."""
        return len(self.refused.message.body)

    def ask(self, question: Question) -> None:
        """Ask whether this delivery was refused before, and for the replay it claims to be."""
        if self.refused.message.redelivered:
            question.refusals.append(content_digest(self.refused.message))
        ask_for_replay(question, self.refused.message)

    def decide(self, view: View, page: Page) -> bool:
        """Write the refusal with its dead letter and confirmation; False when this delivery was refused before."""
        digest = content_digest(self.refused.message)
        if self.refused.message.redelivered and digest in view.refusals:
            return False
        write_refusal(page, self.refused)
        replay = usable_replay(view, self.refused.message)
        if replay is not None:
            close_letter(page, replay.letter_id, "failed_again")
            consume(view, page, replay, "refused", self.refused.execution_id)
        view.refusals.add(digest)
        return True


def write_refusal(page: Page, refused: RefusedMessage) -> None:
    """Put all of a refusal on the page."""
    page.put(
        "insert_refusals",
        execution_id=refused.execution_id,
        account=page.account,
        reason=refused.reason,
        detail=refused.detail,
        content_digest=content_digest(refused.message),
        envelope=envelope(refused.message),
        refused_at=page.clock.now(),
    )
    page.append(_event(refused))
    if refused.dead_letter is not None:
        page.queue(refused.dead_letter, refused.execution_id)
    if refused.confirmation is not None:
        address = reply_address(refused.message, refused.confirmation.correlation_id)
        page.confirm(refused.confirmation, [address] if address else [])


def _event(refused: RefusedMessage) -> Event:
    body = refused.message.body
    about = {
        "reason": refused.reason,
        "detail": refused.detail,
        "envelope": envelope(refused.message),
        "body_bytes": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest(),
    }
    return Event("refused", about, refused.execution_id)
