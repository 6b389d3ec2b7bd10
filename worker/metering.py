"""What the parts of the worker tell of their work, in numbers, and what the ledger tells of the work that is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from worker.domain.message import OutgoingMessage
from worker.ports import Arrival, Change, RefusedMessage


class Meter(Protocol):
    """Counts and measures what it is told. It answers nothing and waits for nothing."""

    def committed(self, jobs: int, seconds: float) -> None:
        """Take note of a group commit: how many jobs it held, and how long they waited for it."""
        ...

    def admitted(self, arrival: Arrival) -> None:
        """Take note of a new trade: it is in the ledger now."""
        ...

    def recorded(self, change: Change) -> None:
        """Take note of a step of an execution: it is in the ledger now."""
        ...

    def refused(self, refused: RefusedMessage) -> None:
        """Take note of a refused message: its refusal is in the ledger now."""
        ...

    def published(self, messages: Iterable[OutgoingMessage]) -> None:
        """Take note of messages that RabbitMQ has just confirmed."""
        ...


class Unmetered:
    """Implements `Meter` for programs that nobody measures."""

    def committed(self, jobs: int, seconds: float) -> None:
        """Do nothing."""

    def admitted(self, arrival: Arrival) -> None:
        """Do nothing."""

    def recorded(self, change: Change) -> None:
        """Do nothing."""

    def refused(self, refused: RefusedMessage) -> None:
        """Do nothing."""

    def published(self, messages: Iterable[OutgoingMessage]) -> None:
        """Do nothing."""


UNMETERED = Unmetered()


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an account has open, as the ledger held it a moment ago. Ages in seconds, 0 where nothing has an age."""

    in_flight: Mapping[str, int]  # open executions by state
    oldest_open_seconds: float  # since its message came in
    unresolved: int
    dead_letters: Mapping[str, int]  # those that wait for an operator, by reason
    oldest_dead_letter_seconds: float  # since it came to the desk
    outbox_messages: int
    outbox_age_seconds: float  # of the oldest, since its commit
