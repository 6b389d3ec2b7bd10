"""One thing that `doctor` has looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from worker.domain.errors import ServiceUnavailable


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"  # it works, and should be looked at
    FAIL = "fail"  # the worker cannot work, or cannot keep its promise
    OUT_OF_REACH = "out of reach"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found; `todo` is empty when there is nothing to do."""

    check: str
    verdict: Verdict
    detail: str
    todo: str = ""


def judged(check: str, good: bool, detail: str, todo: str, otherwise: Verdict = Verdict.FAIL) -> Finding:
    """Return the detail as good, or else with what to do."""
    return Finding(check, Verdict.OK, detail) if good else Finding(check, otherwise, detail, todo)


def unusable(check: str, error: Exception, todo: str) -> Finding:
    """Return that a part could not be looked at any further."""
    verdict = Verdict.OUT_OF_REACH if isinstance(error, ServiceUnavailable) else Verdict.FAIL
    return Finding(check, verdict, str(error), todo)
