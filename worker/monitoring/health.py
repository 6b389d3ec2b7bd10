"""Whether the worker lives and is ready: told by its event loop once a beat, readable from any thread."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Never

from worker.metering import Backlog
from worker.settings import LEASE_SECONDS

BEAT_SECONDS = 0.5
STILL_SECONDS = LEASE_SECONDS  # a loop that stands still for longer has lost the lease to any standby
LAG_REMEMBERED = 30  # beats; more than lie between two looks of a monitoring system


@dataclass(frozen=True, slots=True)
class Vitals:
    """How a worker stands. What it cannot know, for instance a standby, is empty or None."""

    missing: tuple[str, ...]  # what it lacks to execute trades, in words; nothing when it is ready
    lease_left: float = 0.0  # seconds until another worker may have it, as far as this one knows
    lease_epoch: int = 0
    halted: bool | None = None
    halted_symbols: int | None = None
    connected: Mapping[str, bool] = field(default_factory=dict)  # by service
    reconnects: Mapping[str, int] = field(default_factory=dict)  # by service
    terminal_up: Mapping[str, bool] = field(default_factory=dict)  # by session
    session_restarts: Mapping[str, int] = field(default_factory=dict)  # by session
    waiting_for_terminal: int | None = None  # trades
    replies_lost: int | None = None
    last_comparison_age_seconds: float | None = None
    clock_ahead_seconds: float | None = None  # of the sender's clock, as the last approval had it
    backlog: Backlog | None = None  # as last read


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said about health: yes or no, and what there is to say."""

    is_well: bool
    about: Mapping[str, Any]


class Pulse:
    """
    Beats in the event loop, and takes the vitals with each beat.

    Other threads read what the last beat has left, and so see also that there was none.
    """

    def __init__(self, vitals: Vitals, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.vitals = vitals
        self._take: Callable[[], Vitals] = lambda: vitals
        self._monotonic = monotonic
        self._last_beat = monotonic()
        self._lags: deque[float] = deque([0.0], LAG_REMEMBERED)

    def follow(self, take: Callable[[], Vitals]) -> None:
        """Take the vitals from here, from now on."""
        self._take = take
        self.vitals = take()

    async def run(self) -> Never:
        """Beat for ever."""
        while True:
            self._last_beat = self._monotonic()
            self.vitals = self._take()
            await asyncio.sleep(BEAT_SECONDS)
            self._lags.append(self._late())

    @property
    def lease_held(self) -> bool:
        """Tell whether the lease of the last beat has not run out meanwhile: a loop that stands still renews none."""
        return self.vitals.lease_left > self._still

    @property
    def lag(self) -> float:
        """Return how much later than it wanted the loop came to its work, in seconds: the longest of late."""
        return max(self._late(), *tuple(self._lags))

    def live(self) -> Answer:
        """Tell whether the event loop goes on."""
        still = self._still
        if still <= STILL_SECONDS:
            return Answer(is_well=True, about={"live": True, "loop_lag_seconds": round(self.lag, 3)})
        reason = f"the event loop has stood still for {still:.1f} s: what holds it up holds up every trade"
        return Answer(is_well=False, about={"live": False, "reason": reason})

    def ready(self) -> Answer:
        """Tell whether trades are executed, or what is missing for that."""
        missing = list(self.vitals.missing)
        if not self.live().is_well:
            missing.insert(0, "the event loop stands still")
        return Answer(is_well=not missing, about={"ready": not missing, "missing": missing})

    @property
    def _still(self) -> float:
        return self._monotonic() - self._last_beat

    def _late(self) -> float:
        return max(0.0, self._still - BEAT_SECONDS)
