"""What a group commit is made of: jobs that ask, then decide, and never talk to the database themselves."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Protocol, TypeVar
from uuid import UUID

from worker.domain.message import IncomingMessage
from worker.ledger.page import Page
from worker.ledger.view import Question, ReplayRecord, View

T_co = TypeVar("T_co", covariant=True)


class Job(Protocol[T_co]):
    """One caller's wish. It must be able to decide again from a new view: a batch may have to be run twice."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return what its commit is called among the failpoints: small letters, a dot at most in each name."""
        ...

    @property
    def steps(self) -> UUID | None:
        """Return the execution that this job moves on; a batch holds one such step of each execution."""
        ...

    @property
    def weight(self) -> int:
        """Return how many bytes of message bodies this job is about to write."""
        ...

    def ask(self, question: Question) -> None:
        """Add what has to be known."""
        ...

    def decide(self, view: View, page: Page) -> T_co:
        """Write on the page and return the caller's answer. What raises leaves no trace, if `view` is changed last."""
        ...


def replay_id(message: IncomingMessage) -> UUID | None:
    """Return the permission that a message claims to be sent under; None also for one that is no UUID."""
    claimed = message.header("replay-id")
    if claimed is None:
        return None
    try:
        return UUID(claimed)
    except ValueError:
        return None


def ask_for_replay(question: Question, message: IncomingMessage) -> None:
    """Ask for the permission that a message claims."""
    claimed = replay_id(message)
    if claimed is not None:
        question.replays.append(claimed)


def usable_replay(view: View, message: IncomingMessage) -> ReplayRecord | None:
    """Return the permission that an arrival claims, if it is for this account and neither used nor superseded."""
    record = claimed_replay(view, message)
    return record if record is not None and record.account == view.account.account else None


def claimed_replay(view: View, message: IncomingMessage) -> ReplayRecord | None:
    """
    Return the same whoever's account it is for: any worker may find the message among the dead letters.

    It is for one message only: anybody may write a header, and no trade is opened again by another's permission.
    """
    claimed = replay_id(message)
    record = view.replays.get(claimed) if claimed else None
    if record is None or not record.is_standing:
        return None
    return record if hashlib.sha256(message.body).digest() == record.body_sha256 else None


def consume(view: View, page: Page, record: ReplayRecord, consumed_as: str, execution_id: UUID | None) -> None:
    """Use the permission up; to be called last, because later jobs of the batch see it used at once."""
    page.put(
        "consume_replays",
        replay_id=record.replay_id,
        consumed_at=page.clock.now(),
        consumed_as=consumed_as,
        execution_id=execution_id,
    )
    view.replays[record.replay_id] = replace(record, is_standing=False)
    if execution_id is not None:
        view.replayed.add(execution_id)


def close_letter(page: Page, letter_id: UUID, state: str) -> None:
    """Tell a dead letter that is being replayed what has become of it."""
    page.put("close_letters", letter_id=letter_id, state=state, state_at=page.clock.now())
