"""How long the terminal took, call by call: the worker says so in its log at the level DEBUG."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from worker.cli.demo.conversation import Story


@dataclass(frozen=True, slots=True)
class _Call:
    execution_id: str | None  # None: a poll, which is for all orders
    began: datetime
    ended: datetime


class TerminalCalls:
    """The calls of one worker's life."""

    def __init__(self, log: Path) -> None:
        self._calls = list(_calls(log))

    def of(self, story: Story) -> float:
        """Return the milliseconds of a trade that its terminal calls took, and polls while it was at the broker."""
        told, arrived = story.arrivals[0].told, story.arrivals[0].at
        own = [call for call in self._calls if call.execution_id == told["execution_id"]]
        polls = [call for call in self._calls if call.execution_id is None] if told["submitted_at"] else []
        since = datetime.fromisoformat(told["submitted_at"]) if told["submitted_at"] else arrived
        return sum(milliseconds(call.began, call.ended) for call in own) + sum(
            max(0.0, milliseconds(max(call.began, since), min(call.ended, arrived))) for call in polls
        )


def milliseconds(earlier: datetime, later: datetime) -> float:
    """Return the time between two moments."""
    return (later - earlier).total_seconds() * 1000


def _calls(log: Path) -> Iterator[_Call]:
    for line in log.read_text("utf-8", errors="replace").splitlines():
        event = _event(line)
        if event.get("event") == "terminal_called":
            ended = datetime.fromisoformat(event["timestamp"])
            yield _Call(event.get("execution_id"), ended - timedelta(milliseconds=event["ms"]), ended)


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
