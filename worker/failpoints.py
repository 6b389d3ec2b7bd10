"""
Named points at which a fault test ends, or holds up, this very process; they cost nothing unarmed.

`FAILPOINTS="ledger.commit.before.accepted.answered@2=kill, session.send.after.submit=kill-all"` arms two of them: each
acts once, at its n-th hit (the first without a number). With `FAILPOINTS_LOG` every point that is passed is written to
a file, so that a test finds out by itself what a story passes. Only the settings read these two, and refuse them for
any terminal but the simulated one.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

POINTS = {
    # The ledger. `before`: nothing of it has left; `within`: all is written, COMMIT is not sent; `after`: PostgreSQL
    # has committed, and nobody knows yet. A commit is named by its jobs: the state and the event of a step, or the job.
    "ledger.commit.before.*": "a group commit is about to begin",
    "ledger.commit.within.*": "a group commit lacks only its COMMIT",
    "ledger.commit.after.*": "a group commit stands, no caller is answered",
    "ledger.take.before": "the lease is free or silent, as far as was known",
    "ledger.take.within": "the lease is taken but for the COMMIT",
    "ledger.take.after": "the lease is taken, the worker does not know",
    "ledger.bind.before": "the account is about to be bound to its login",
    "ledger.bind.within": "the account is bound but for the COMMIT",
    "ledger.bind.after": "the account is bound, the worker does not know",
    "ledger.recognise.before": "the database's identity is about to be compared",
    "ledger.recognise.within": "the database is recognised but for the COMMIT",
    "ledger.recognise.after": "the database is recognised, the worker does not know",
    "ledger.release.before": "the lease is about to be given up",
    "ledger.release.within": "the lease is given up but for the COMMIT",
    "ledger.release.after": "the lease is given up, the worker does not know",
    "ledger.open.before": "the account's row may not exist yet",
    "ledger.open.after": "the account's row exists",
    "ledger.renew.before": "the lease is about to be renewed",
    "ledger.renew.after": "the lease is renewed, the worker does not know",
    "ledger.operator.before": "a command is about to change an account",
    "ledger.operator.within": "a command's change lacks only its COMMIT",
    "ledger.operator.after": "a command's change stands, the operator is not told",
    "ledger.migrate.before": "a migration is about to be applied",
    "ledger.migrate.within": "a migration lacks only its COMMIT",
    "ledger.migrate.after": "a migration is applied",
    # RabbitMQ. `after` is handed to the socket, which may or may not carry it any further.
    "amqp.publish.before.*": "a message is about to be published; named by its kind",
    "amqp.publish.after.*": "a message is on its way",
    "amqp.confirm.before": "RabbitMQ has taken messages and says so; not yet noticed",
    "amqp.confirm.after": "their confirms are noticed, the outbox does not know",
    "amqp.ack.before.*": "a delivery is done, RabbitMQ does not know; named by its queue: approved, dead, unroutable",
    "amqp.ack.after.*": "its acknowledgement is on its way",
    "amqp.nack.before.*": "a delivery is about to be given back",
    "amqp.nack.after.*": "its return is on its way",
    # The worker's end of the pipe to a terminal session; named by the command.
    "pipe.ask.before.*": "a command is about to be written to the session's pipe",
    "pipe.ask.after.*": "a command is in the pipe, perhaps being executed",
    "pipe.answer.after.*": "its answer was read and nothing made of it",
    # In the session's own process.
    "session.send.before.*": "`order_send` is about to be called; named by what it is for: submit, cancel",
    "session.send.after.*": "`order_send` has returned",
    "session.answer.before.*": "a command is executed, its answer not written; named by the command",
    "session.answer.after.*": "its answer is in the pipe",
}
"""Every point and where it is. A name that ends in `*` is a family: hits tell its members apart."""

_MEMBER = re.compile(r"[a-z_]+(\.[a-z_]+)?")
_ARMING = re.compile(r"(?P<name>[a-z_.]+)(@(?P<at>[1-9][0-9]*))?=(?P<action>[a-z-]+)")
_GLANCE_SECONDS = 0.02
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows SIGTERM is TerminateProcess, as sudden as SIGKILL


class Action(StrEnum):
    """What happens at an armed point."""

    KILL = "kill"  # this process ends at once
    KILL_ALL = "kill-all"  # a session's process ends its worker first, then itself
    HOLD = "hold"  # this thread stands still until there is a file named as the log, with `.go` behind


class WrongFailpoint(ValueError):
    """A text that arms nothing: it cannot be read, or names a point that does not exist."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the `at`-th hit of a point, counted from 1."""

    action: Action
    at: int = 1


@dataclass(slots=True)
class _Plan:
    """What is armed in this process."""

    faults: dict[str, Fault] = field(default_factory=dict)
    log: Path | None = None
    process: str = "worker"
    is_armed: bool = False
    handed_down: bool = False
    hits: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


_plan = _Plan()


def read(text: str) -> dict[str, Fault]:
    """Read `name[@n]=action, ...` into what happens where; raises WrongFailpoint with a sentence."""
    return dict(_fault(part.strip()) for part in text.split(",") if part.strip())


def need_a_log(text: str) -> bool:
    """Tell whether a text arms what only works with a log."""
    return any(fault.action is Action.HOLD for fault in read(text).values())


def arm(text: str, log: Path | None, *, process: str = "worker") -> None:
    """Arm this process with the faults of a text, and log every hit to a file; nothing of both disarms it."""
    faults = read(text)
    _plan.faults, _plan.log, _plan.process = faults, log, process
    _plan.is_armed = bool(faults) or log is not None
    _plan.handed_down = False
    _plan.hits.clear()


def hand_down() -> tuple[str, Path | None]:
    """
    Return what a session's process is to be armed with.

    Only the first one gets the faults: the session that replaces it must not end at the same point for ever.
    """
    faults = {} if _plan.handed_down else _plan.faults
    _plan.handed_down = True
    return ",".join(f"{name}@{fault.at}={fault.action}" for name, fault in faults.items()), _plan.log


def is_armed() -> bool:
    """Tell whether hits matter: for callers to whom their names are some work."""
    return _plan.is_armed


def hit(point: str, *kinds: str) -> None:
    """Pass a point; one with kinds passes each member of its family that they name, once."""
    if _plan.is_armed:
        for name in [f"{point}.{kind}" for kind in dict.fromkeys(kinds)] or [point]:
            _pass(name)


def _pass(name: str) -> None:
    with _plan.lock:  # terminals are called from threads of their own
        _plan.hits[name] += 1
        if _plan.log is not None:
            _write_down(_plan.log, name)
        fault = _plan.faults.get(name)
        if fault is not None and _plan.hits[name] == fault.at:
            _act(fault.action, _plan.log)


def _write_down(log: Path, name: str) -> None:
    """Append one line in one write, so that the processes of a worker may share the file."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, f"{_plan.process} {os.getpid()} {name}\n".encode())
    finally:
        os.close(file)


def _act(action: Action, log: Path | None) -> None:
    if action is Action.HOLD:
        _hold(log)
        return
    if action is Action.KILL_ALL and _plan.process != "worker":
        os.kill(os.getppid(), _KILL)
    os.kill(os.getpid(), _KILL)


def _hold(log: Path | None) -> None:
    # Not SIGSTOP: the system continues what has stopped when its parent ends.
    while log is not None and not log.with_name(f"{log.name}.go").exists():
        time.sleep(_GLANCE_SECONDS)


def _fault(part: str) -> tuple[str, Fault]:
    match = _ARMING.fullmatch(part)
    if match is None or match["action"] not in set(Action):
        raise WrongFailpoint(f"cannot read {part!r}: write <point>[@<hit>]=<action>, the action {' or '.join(Action)}")
    if not _exists(match["name"]):
        raise WrongFailpoint(f"there is no point {match['name']!r}: worker/failpoints.py lists them")
    return match["name"], Fault(Action(match["action"]), int(match["at"] or 1))


def _exists(name: str) -> bool:
    families = (point.removesuffix("*") for point in POINTS if point.endswith("*"))
    in_family = any(name.startswith(family) and _MEMBER.fullmatch(name, len(family)) for family in families)
    return in_family or (name in POINTS)
