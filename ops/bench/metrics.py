"""What the worker tells of itself over HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.request import urlopen

_CALLS = re.compile(r'^mt5_worker_terminal_call_seconds_count\{.*call="(\w+)".*\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class TerminalCalls:
    """How often the worker has called its terminal, by kind of call."""

    counted: Mapping[str, float]

    @property
    def polls(self) -> float:
        """How often it has looked at all orders."""
        return self.counted["poll"]

    @property
    def total(self) -> float:
        """Calls of all kinds."""
        return sum(self.counted.values())

    def since(self, earlier: TerminalCalls) -> TerminalCalls:
        """Return what has come since then."""
        return TerminalCalls({call: count - earlier.counted.get(call, 0) for call, count in self.counted.items()})


def terminal_calls(port: int) -> TerminalCalls:
    """Ask the worker that serves its metrics at this port of 127.0.0.1."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return TerminalCalls({call: float(count) for call, count in _CALLS.findall(text)})
