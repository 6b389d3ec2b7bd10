"""The rules that the promise rests on. The model runs with all of them; each can be switched off to see it break."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Rules:
    """What the worker keeps to."""

    commits_before_ack: bool = True
    writes_ahead: bool = True
    checks_the_epoch: bool = True  # at every commit
    checks_the_revision: bool = True
    proves_absence: bool = True  # before anything is sent again, or said not to be executed
    looks_twice: bool = True
    waits_for_the_horizon: bool = True
    waits_from_the_restart: bool = True  # of a terminal that held the request, not from the send
    asks_for_the_sender: bool = True
    doubts_early_restarts: bool = True  # the request may have been handed over after them
    keeps_the_deadline: bool = True
    queues_with_the_settlement: bool = True
    publishes_before_marking: bool = True
    operator_is_right: bool = True
    checks_the_halt: bool = True  # at the write-ahead of a send
    halts_wait_for_sends: bool = True  # that were written ahead before, until they are answered or too late

    def __str__(self) -> str:
        """Name what is switched off."""
        return " ".join(rule.name for rule in fields(self) if not getattr(self, rule.name))


ALL = Rules()
