"""
Every error the worker raises on purpose.

::

    WorkerError
     ├─ WrongSetting            the configuration cannot work                      (exit 2)
     ├─ ServiceUnavailable      a needed service does not answer                   (exit 3)
     │   ├─ LedgerUnavailable   PostgreSQL
     │   ├─ MessagingUnavailable  RabbitMQ
     │   └─ TerminalUnavailable MetaTrader; nothing was sent
     ├─ SchemaMismatch          the database is behind or ahead of this program    (exit 2)
     ├─ NotStorable             the ledger refuses this one thing, and always will
     ├─ NotFound                the thing asked for does not exist                 (exit 1)
     ├─ Refused                 the thing asked for is not allowed now             (exit 1)
     ├─ LeaseLost               another worker leads this account now
     ├─ StaleRevision           the execution has moved on since it was read
     ├─ HaltedAtCommit          a halt was committed before this send was written ahead
     ├─ IllegalTransition       a state change outside the table
     ├─ LeftOpen                a canary could not close what it had opened        (exit 1)
     └─ OutcomeUnknown          the same, raised to a caller at the Python prompt
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.domain.halts import Halt


class WorkerError(Exception):
    """Base of all errors that carry a sentence for a person."""


class WrongSetting(WorkerError):
    """The configuration cannot work; the text has one line per mistake."""


class ServiceUnavailable(WorkerError):
    """A service that is needed does not answer."""


class LedgerUnavailable(ServiceUnavailable):
    """PostgreSQL does not answer; nothing is lost, the worker waits."""


class MessagingUnavailable(ServiceUnavailable):
    """RabbitMQ does not answer; trades in flight are not touched."""


class TerminalUnavailable(ServiceUnavailable):
    """The terminal did not answer a question. Nothing was sent by that call."""


class SchemaMismatch(WorkerError):
    """The database's schema is not the one this program was made for."""


class NotStorable(WorkerError):
    """The ledger refuses this one thing for what it is; nothing of it is stored, and trying again does not help."""


class NotFound(WorkerError):
    """The thing asked for does not exist."""


class Refused(WorkerError):
    """The thing asked for exists, and what was asked is not allowed in its present state."""


class LeaseLost(WorkerError):
    """Another worker has taken the lease of this account: stop sending at once."""


class StaleRevision(WorkerError):
    """The execution has changed since it was read; read it again before deciding anything."""


class HaltedAtCommit(WorkerError):
    """The account or the symbol was halted before this send was written ahead; nothing was sent."""

    def __init__(self, account: str, halt: Halt) -> None:
        whose = f"account {account} is " if halt.symbol is None else ""
        super().__init__(f"{whose}{halt}; nothing was sent")
        self.halt = halt


class IllegalTransition(WorkerError):
    """A state change that the table in `domain/execution.py` does not allow: a defect, never a market event."""


class LeftOpen(WorkerError):
    """Something that a canary opened still stands at the broker: a person must close it."""


class OutcomeUnknown(WorkerError):
    """The terminal's answer does not prove whether the order was executed. Do not send it again: look it up."""
