"""The closed sets of which labels are made: whatever a message, a broker or a setting says, no label is made of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from schemas.endings import REASONS_OF_STATUS
from schemas.refusals import DeadLetterReason
from worker.domain.execution import OPEN

OTHER = "other"
REFUSALS = frozenset(reason.value for reason in DeadLetterReason)
STATUSES = frozenset(status.value for status in REASONS_OF_STATUS)
ENDINGS = frozenset(
    (status.value, reason)
    for status, reasons in REASONS_OF_STATUS.items()
    for reason in reasons - REFUSALS or reasons or {""}  # what ends one way only is a reason of dead letters, too
)
"""How a trade can end, and why: status and reason, the latter empty where there is none."""

OPEN_STATES = frozenset(state.value for state in OPEN)
SERVICES = ("rabbitmq", "postgresql")
CALLS = ("quote", "submit", "poll", "search", "cancel")
STAGES = ("intake", "validation", "send", "fill", "settlement", "publication", "whole")
ALERTS = frozenset(
    {
        "attestation_refuted",
        "clock_alert",
        "correction_failed",
        "dead_letter_parked",
        "execution_failed",
        "forgotten_attempt",
        "history_differs",
        "late_deal",
        "orphan_order",
        "outcome_unknown",
        "overfilled",
        "proof_refuted",
        "search_failed",
        "terminal_of_another_account",
    }
)
"""The events of all log lines with `alert=True`."""


def known(value: str, among: Collection[str]) -> str:
    """Return a label's value if it is one of the known ones, else `other`."""
    return value if value in among else OTHER


def ending(status: str, reason: str) -> tuple[str, str]:
    """Return how a trade has ended as labels tell it: without a reason where none is given, else with a known one."""
    if (status, "") in ENDINGS:
        return status, ""
    return status, reason if (status, reason) in ENDINGS else OTHER


def endings() -> Iterator[tuple[str, str]]:
    """Yield every status and reason that a trade may end with, also those that nobody knows yet."""
    yield from sorted(ENDINGS)
    for status in sorted(STATUSES - {"filled", "partially_filled"}):
        yield status, OTHER
