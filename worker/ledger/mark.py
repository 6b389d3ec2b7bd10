"""Marking messages as published: they leave the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.domain.message import PublishResult
from worker.ledger.page import Page
from worker.ledger.view import Question, View


@dataclass(frozen=True, slots=True)
class Mark:
    """The job of one set of publish results, by the ids of the outbox rows."""

    results: Mapping[int, PublishResult]
    kinds: tuple[str, ...] = ("mark",)
    steps: None = None
    weight: int = 0

    def ask(self, question: Question) -> None:
        """Nothing has to be known."""

    def decide(self, view: View, page: Page) -> None:  # noqa: ARG002 - every job decides from a view
        """
        Delete what RabbitMQ has taken over.

        A returned message was confirmed too: a main one went to the alternate exchange, a reply found nobody. A refused
        one stays for another try, unless it is a reply: those are never an error.
        """
        for row, result in self.results.items():
            page.put(
                "delete_outbox",
                id=row,
                account=page.account,
                refused=result is PublishResult.REFUSED,
                published_at=page.clock.now(),
            )
