"""What a worker knows of its account without a look: how its own last batch has left it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from worker.domain.execution import Execution
from worker.ledger.confirmations import ReplyAddress
from worker.ledger.connection import Connection
from worker.ledger.round_trip import Call
from worker.ledger.view import AccountRow, Question, View
from worker.ports import Anchor

COUNTERS = 64  # taken ahead for tokens; what is left of them when a worker ends is skipped for ever
_FEW_COUNTERS = 16


@dataclass(frozen=True, slots=True)
class _Known:
    """An execution that this worker has written down and not yet seen to its end. No replay has to do with it."""

    revision: int
    addresses: tuple[ReplyAddress, ...]


@dataclass(slots=True)
class Foresight:
    """
    Holds on one connection, and only until anybody else writes for the account.

    The database is asked whether it still holds in the very transaction that is decided by it, by a statement that
    fails if not: then nothing is written, and the account is looked at.
    """

    _connection: Connection | None = None
    _account: AccountRow | None = None
    _batch: UUID | None = None  # the signature of the last one
    _namespace: int | None = None
    _counters: list[int] = field(default_factory=list)
    _executions: dict[UUID, _Known] = field(default_factory=dict)

    def use(self, connection: Connection) -> None:
        """Begin anew on a new connection: it may lead to another copy of the database."""
        if self._connection is not connection:
            self.forget()
            self._connection, self._namespace, self._counters = connection, None, []

    def forget(self) -> None:
        """Foresee nothing until the next look at the account."""
        self._account = self._batch = None
        self._executions = {}

    def compare(self, account: AccountRow) -> None:
        """Forget what has been known if the account, as it was found under its lock, is not as foreseen."""
        if account != self._account:
            self.forget()

    def counters_to_take(self, question: Question) -> int:
        """Return how many numbers for tokens the next transaction is to take."""
        left = len(self._counters) - question.arrivals
        return COUNTERS - left if question.arrivals and left < _FEW_COUNTERS else 0

    def take_counters(self) -> Sequence[int]:
        """Return the numbers in stock. They are never used again, whatever becomes of who takes them."""
        taken, self._counters = self._counters, []
        return taken

    def view(self, question: Question) -> View | None:
        """Return the answers if all of them are foreseen, else None."""
        if self._account is None or any(self._account.halts) or not self._knows(question):
            return None
        view = View(self._account)
        if question.arrivals and self._namespace is not None:
            view.prefixes.append(self._namespace)
            view.counters.extend(self.take_counters())
        for execution_id in question.executions:
            view.revisions[execution_id] = self._executions[execution_id].revision
            view.addresses[execution_id].extend(self._executions[execution_id].addresses)
        return view

    def _knows(self, question: Question) -> bool:
        # Whether a trade is known already is not foreseen: the schema refuses to write one down twice.
        if question.replays or question.refusals or question.letters or question.tokens:
            return False
        if question.arrivals and (self._namespace is None or question.arrivals > len(self._counters)):
            return False
        return self._executions.keys() >= {*question.executions, *question.addresses}

    def calls(self, question: Question, head: Anchor, batch: UUID) -> Sequence[Call]:
        """
        Return what makes a transaction fail unless all is as foreseen, and takes the counters that are wanted.

        It moves the account on to this head, and signs it for this batch.
        """
        account = self._account
        if account is None:
            raise AssertionError("nothing is foreseen")
        foreseen = {
            "account": account.account,
            "epoch": account.epoch,
            "holder": account.holder,
            "sequence": account.head.sequence,
            "hash": account.head.hash,
            "batch": self._batch,
            "namespace": self._namespace if question.arrivals else None,
            "deals": question.deals,
            "next_sequence": head.sequence,
            "next_hash": head.hash,
            "next_batch": batch,
        }
        move: Call = ("move_as_foreseen", foreseen)
        return [move, ("take_trade_counters", {"count": question.counters})] if question.counters else [move]

    def learn(self, view: View, account: AccountRow, batch: UUID) -> None:
        """Take note of what a committed batch has left; `account` is its row as it stands now."""
        self._account, self._batch = account, batch
        self._counters.extend(view.counters)
        if view.prefixes:
            self._namespace = view.prefixes[-1]
        for execution in view.executions:
            self._note(view, execution)

    def _note(self, view: View, execution: Execution) -> None:
        one = execution.execution_id
        before = self._executions.pop(one, None)
        if execution.is_settled or one in view.replayed or (before is None and one not in view.begun):
            return
        addresses = dict.fromkeys([*(before.addresses if before else ()), *view.addresses.get(one, ())])
        self._executions[one] = _Known(execution.revision, tuple(addresses))
