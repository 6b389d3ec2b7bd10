"""What a batch has to know before it can decide: asked for all of its jobs at once, read under the account's lock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.domain.execution import Execution
from worker.domain.halts import Halts
from worker.domain.trade import Trade, TradeIdentity
from worker.ledger.confirmations import Confirmation, ReplyAddress, confirmation_from
from worker.ledger.connection import Connection
from worker.ledger.encoding import Row, rows_as_json
from worker.ledger.halts import halts_from
from worker.ledger.namespaces import Namespace
from worker.ledger.records import execution_from
from worker.ledger.round_trip import Answers, Call, round_trip
from worker.ledger.statements import sql
from worker.ports import Anchor


@dataclass(frozen=True, slots=True)
class AccountRow:
    """The locked row of an account, as far as writers look at it."""

    account: str
    epoch: int
    holder: str | None
    halts: Halts
    head: Anchor

    @property
    def halt(self) -> str | None:
        """Return the account's own halt in words, None when there is none."""
        return None if self.halts.account is None else str(self.halts.account)


def account_from(row: Row) -> AccountRow:
    """Return the account of a row."""
    return AccountRow(
        account=row["account"],
        epoch=row["lease_epoch"],
        holder=row["lease_holder"],
        halts=halts_from(row),
        head=Anchor(row["audit_sequence"], row["audit_hash"]),
    )


@dataclass(frozen=True, slots=True)
class ReplayRecord:
    """An operator's permission to try a dead letter again."""

    replay_id: UUID
    letter_id: UUID
    account: str
    allow_stale: bool
    body_sha256: bytes  # of the message that it is for
    is_standing: bool  # neither used nor superseded


@dataclass(slots=True)
class Question:
    """What the jobs of a batch want to know."""

    trades: list[dict[str, Any]] = field(default_factory=list)
    arrivals: int = 0
    counters: int = 0  # to take for the tokens of these and later arrivals
    executions: list[UUID] = field(default_factory=list)
    addresses: list[UUID] = field(default_factory=list)  # of these executions, who wants copies of confirmations
    replays: list[UUID] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    deals: list[int] = field(default_factory=list)

    def ask_for_trade(self, account: str, trade: Trade) -> None:
        """Ask for the execution of a trade, by its identity and by its body."""
        self.trades.append(
            {
                "identity_kind": trade.identity.kind,
                "trade_id": trade.identity.trade_id,
                "account": account,
                "body_digest": None if trade.rpm_order_id else trade.body_digest,
            }
        )

    def calls(self, account: str) -> Sequence[Call]:
        """Return the statements that answer; nothing is asked that nobody wants to know."""
        asked: dict[str, tuple[object, dict[str, Any]]] = {
            "all_namespaces": (self.tokens, {}),
            "take_trade_counters": (self.arrivals, {"count": self.counters}),
            "find_trades": (self.trades, {"rows": rows_as_json(self.trades)}),
            "find_revisions": (self.executions, {"ids": self.executions}),
            "find_reply_addresses": (self.addresses, {"ids": self.addresses}),
            "find_replays": (self.replays, {"ids": self.replays}),
            "find_refusals": (self.refusals, {"digests": self.refusals, "account": account}),
            "find_letters": (self.letters, {"rows": rows_as_json(self.letters)}),
            "find_strangers": (self.tokens, {"magics": self.tokens, "account": account}),
            "find_attested_deals": (self.deals, {"ids": self.deals, "account": account}),
        }
        return [(name, values) for name, (wanted, values) in asked.items() if wanted]


class View:
    """The answers. Jobs of one batch see what the jobs before them did, because they note it down here."""

    def __init__(self, account: AccountRow) -> None:
        self.account = account
        self.namespaces: list[Namespace] = []  # only when one of the jobs may have to begin a new one
        self.prefixes: list[int] = []  # the namespaces of tokens, that new ones come from last
        self.known_since: datetime | None = None  # only when one of the jobs has found that something is missing
        self.counters: list[int] = []
        self.strangers: set[int] = set()
        self.attested: dict[int, tuple[UUID, str]] = {}  # by deal: the execution and its trade
        self.revisions: dict[UUID, int] = {}
        self.replayed: set[UUID] = set()  # executions that a replay became or reopened
        self.addresses: dict[UUID, list[ReplyAddress]] = defaultdict(list)
        self.confirmations: dict[UUID, Confirmation] = {}
        self.replays: dict[UUID, ReplayRecord] = {}
        self.refusals: set[str] = set()
        self.letters: dict[UUID, Row] = {}
        self.begun: set[UUID] = set()  # executions that this batch is the first to write down
        self._by_identity: dict[TradeIdentity, Execution] = {}
        self._by_body: dict[tuple[str, str], Execution] = {}

    def find(self, account: str, trade: Trade) -> Execution | None:
        """Return the execution of this trade, by its identity, else (without an order id) by its body."""
        found = self._by_identity.get(trade.identity)
        if found is None and trade.rpm_order_id is None:
            found = self._by_body.get((account, trade.body_digest))
        return found

    @property
    def executions(self) -> Iterable[Execution]:
        """Return the executions that were noted, as they stand now."""
        return self._by_identity.values()

    def note(self, execution: Execution) -> None:
        """Remember an execution as it stands now."""
        self._by_identity[execution.trade.identity] = execution
        if execution.trade.rpm_order_id is None:
            self._by_body[execution.account, execution.trade.body_digest] = execution
        self.revisions[execution.execution_id] = execution.revision


async def lock_account(connection: Connection, account: str) -> AccountRow | None:
    """Lock an account's row until the transaction ends; None when there is no such account."""
    cursor = await connection.execute(sql("lock_account"), {"account": account})
    row = await cursor.fetchone()
    return account_from(row) if row else None


async def read_view(
    connection: Connection, account: str, question: Question, opening: Sequence[Call] = ()
) -> View | None:
    """
    Lock the account and answer the question in one round trip; None when there is no such account.

    `opening` comes before the lock.
    """
    asked = question.calls(account)
    answers = await round_trip(connection, [*opening, ("lock_account", {"account": account}), *asked])
    locked = answers[len(opening)]
    if not locked:
        return None
    view = View(account_from(locked[0]))
    take_answers(view, asked, answers[len(opening) + 1 :])
    return view


def take_answers(view: View, asked: Sequence[Call], answers: Answers) -> None:
    """Put on a view what these statements have answered, as far as any of its questions is answered by them."""
    for (name, _), rows in zip(asked, answers, strict=False):
        for row in rows:
            if name in _READERS:
                _READERS[name](view, row)


def _read_trade(view: View, row: Row) -> None:
    view.note(execution_from(row))
    if row["confirmation_body"] is not None:
        view.confirmations[row["execution_id"]] = confirmation_from({**row, "body": row["confirmation_body"]})


def _read_counters(view: View, row: Row) -> None:
    view.counters.extend(row["counters"])
    view.prefixes[:] = row["namespaces"]


def _read_revision(view: View, row: Row) -> None:
    view.revisions[row["execution_id"]] = row["revision"]
    if row["is_replayed"]:
        view.replayed.add(row["execution_id"])


def _read_replay(view: View, row: Row) -> None:
    view.replays[row["replay_id"]] = ReplayRecord(**row)


def _read_address(view: View, row: Row) -> None:
    view.addresses[row["execution_id"]].append(ReplyAddress(row["reply_to"], row["correlation_id"]))


_READERS: dict[str, Callable[[View, Row], None]] = {
    "all_namespaces": lambda view, row: view.namespaces.append(Namespace(**row)),
    "take_trade_counters": _read_counters,
    "find_trades": _read_trade,
    "find_revisions": _read_revision,
    "find_reply_addresses": _read_address,
    "find_replays": _read_replay,
    "find_refusals": lambda view, row: view.refusals.add(row["content_digest"]),
    "find_letters": lambda view, row: view.letters.update({row["letter_id"]: row}),
    "find_strangers": lambda view, row: view.strangers.add(row["magic"]),
    "find_attested_deals": lambda view, row: view.attested.update(
        {row["deal_id"]: (row["execution_id"], row["trade_id"])}
    ),
}
