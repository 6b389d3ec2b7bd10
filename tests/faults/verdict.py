"""
The verdict on one account's run, from outside: the broker's book, a subscriber's messages, the ledger's tables.

Many runs may share a RabbitMQ and a database: everything is taken by account. A trade is found in the book twice, by
what was asked for (symbol, side, size, so the trades of one run must differ in one of them) and by its token.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tests.acceptance.oracle import CONTRACT_SIZE, by_correlation, by_size, contradictions, exactly, size_of, untruths
from tests.acceptance.oracle import base as base_symbol
from tests.faults.tables import Row, Tables, chain_faults, is_quiet, read_tables
from tests.fixtures.book import Book, Traded
from tests.fixtures.rpm import Sent
from tests.fixtures.subscriber import Confirmation

Outcome = tuple[str, str | None]  # status and reason
Ends = Callable[[Sent, Sequence[Confirmation]], Collection[Outcome] | None]

_ATTEMPT_BITS = 6
_GLANCE_SECONDS = 0.1
_SHOWN = 20


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a run, one sentence each; nothing is, when all three are empty."""

    account: str
    trades: int
    outcomes: Counter[Outcome]
    duplicates: tuple[str, ...]
    lost: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing was done twice, nothing lost, nothing told wrongly."""
        return not (self.duplicates or self.lost or self.wrong)

    def __str__(self) -> str:
        named = {"duplicate": self.duplicates, "lost": self.lost, "wrong": self.wrong}
        lines = [f"{name}: {sentence}" for name, sentences in named.items() for sentence in sentences]
        return "\n".join([f"{self.account}: {self.trades} trades, {len(lines)} problems", *lines[:_SHOWN]])


def anything_final(_sent: Sent, _told: Sequence[Confirmation]) -> None:
    """Let a trade end in any way that is final: for runs in which only truth matters."""


def judge(  # noqa: PLR0913 - the run, the witnesses, and what is allowed
    account: str,
    published: Sequence[Sent],
    *,
    book: Book,
    received: Sequence[Confirmation],
    postgres_url: str,
    ends: Ends = anything_final,
) -> Verdict:
    """
    Judge a run that has come to rest; messages published again count as the trade they repeat.

    `ends` names the outcomes that a trade may have after all that was told of it; None stands for any final one.
    Orders in the book that belong to no trade of `published` count as wrong, and so does an execution or a
    confirmation of such a trade.
    """
    trades = list({sent.correlation: sent for sent in published}.values())
    if len({size_of(sent) for sent in trades}) != len(trades):
        raise ValueError("the trades of a run must differ in symbol, side or size")
    witnesses = _Witnesses(
        trades,
        book.traded(),
        [one for one in received if one["account"] == account],
        read_tables(postgres_url, account),
    )
    return Verdict(
        account=account,
        trades=len(trades),
        outcomes=Counter(witnesses.last(sent).outcome for sent in trades if witnesses.told[sent.correlation]),
        duplicates=tuple(witnesses.duplicates()),
        lost=tuple(witnesses.lost()),
        wrong=tuple(witnesses.wrong(ends)),
    )


def wait_until_quiet(postgres_url: str, account: str, seconds: float = 30.0) -> None:
    """Wait until nothing is open and the outbox is empty; give up silently: the verdict will tell what is left."""
    deadline = time.monotonic() + seconds
    while not is_quiet(postgres_url, account) and time.monotonic() < deadline:
        time.sleep(_GLANCE_SECONDS)


class _Witnesses:
    """What was seen of a run, sorted by trade."""

    def __init__(
        self, trades: Sequence[Sent], traded: Sequence[Traded], received: list[Confirmation], tables: Tables
    ) -> None:
        self._trades, self._traded, self._tables = trades, traded, tables
        self.told = defaultdict(list, by_correlation(received))
        self._orders = defaultdict(list, by_size(list(traded)))
        self._rows: dict[str, list[Row]] = defaultdict(list)
        for row in tables.executions:
            self._rows[row["trade_id"]].append(row)

    def last(self, sent: Sent) -> Confirmation:
        """Return the latest version that was received."""
        return max(self.told[sent.correlation], key=lambda one: int(one["version"]))

    def duplicates(self) -> Iterable[str]:
        """Tell which trades were executed more than once."""
        for sent in self._trades:
            effective = [one.ticket for one in self._orders[size_of(sent)] if one.deals]
            if len(effective) > 1:
                yield f"{_name(sent)} was executed by the orders {', '.join(effective)}"
        by_token: dict[int, list[str]] = defaultdict(list)
        for one in self._traded:
            if one.deals:
                by_token[one.order["magic"] >> _ATTEMPT_BITS].append(one.ticket)
        for token, tickets in by_token.items():
            if len(tickets) > 1:
                yield f"token {token << _ATTEMPT_BITS} was executed by the orders {', '.join(tickets)}"

    def lost(self) -> Iterable[str]:
        """Tell which trades nobody wrote down, or nobody was told about."""
        for sent in self._trades:
            if not self._rows[sent.trade_id]:
                yield f"{_name(sent)} is not in the ledger"
            if not self.told[sent.correlation]:
                yield f"{_name(sent)} was never confirmed"

    def wrong(self, ends: Ends) -> Iterable[str]:
        """Tell everything that was said or written and is not so."""
        for sent in self._trades:
            for problem in self._wrong_with(sent, ends):
                yield f"{_name(sent)}: {problem}"
        yield from self._strangers()
        yield from self._unfinished()
        yield from chain_faults(self._tables)

    def _wrong_with(self, sent: Sent, ends: Ends) -> Iterable[str]:
        told, rows, orders = self.told[sent.correlation], self._rows[sent.trade_id], self._orders[size_of(sent)]
        if len(rows) > 1:
            yield f"{len(rows)} rows in the ledger"
        if not told or not rows:
            return
        last = self.last(sent)
        yield from contradictions(told)
        yield from untruths(last, orders)
        yield from _wrong_about_units(last, sent, orders)
        yield from _wrong_end(last, ends(sent, told))
        yield from self._wrong_in_the_ledger(told, rows[0], orders)

    def _wrong_in_the_ledger(self, told: list[Confirmation], row: Row, orders: list[Traded]) -> Iterable[str]:
        last = max(told, key=lambda one: int(one["version"]))
        here, there = [row["state"], row["version"]], [last["status"], last["version"]]
        if here != there or str(row["execution_id"]) != last["execution_id"]:
            yield f"the ledger has {here} of {row['execution_id']}, told was {there} of {last['execution_id']}"
        mine = [one for one in self._tables.confirmations if one["execution_id"] == row["execution_id"]]
        written, heard = (
            {one["version"]: bytes(one["body"]) for one in mine},
            {one["version"]: one.body for one in told},
        )
        if written != heard:
            yield f"versions {sorted(written)} are in the ledger, {sorted(heard)} were received, or their bytes differ"
        if sorted(written) != list(range(1, len(written) + 1)):
            yield f"the versions {sorted(written)} have gaps"
        yield from self._wrong_deals(row, orders)
        yield from self._wrong_anchors(told)

    def _wrong_deals(self, row: Row, orders: list[Traded]) -> Iterable[str]:
        counted = {
            one["deal_id"]: one["lots"] for one in self._tables.deals if one["execution_id"] == row["execution_id"]
        }
        booked = {deal["ticket"]: Decimal(str(deal["volume"])) for one in orders for deal in one.deals}
        if counted != booked and row["state"] != "unresolved":
            yield f"the ledger counts the deals {counted}, the book has {booked}"
        if any(one.order["magic"] >> _ATTEMPT_BITS << _ATTEMPT_BITS != row["token"] for one in orders):
            yield f"an order in the book carries another token than {row['token']}"

    def _wrong_anchors(self, told: list[Confirmation]) -> Iterable[str]:
        for one in told:
            sequence, anchor = one["audit"]["sequence"], one["audit"]["hash"]
            found = self._tables.audit_events[sequence - 1 : sequence]
            if sequence and [row["hash"] for row in found] != [anchor]:
                yield f"version {one['version']} is anchored to audit event {sequence}, which is another one now"

    def _strangers(self) -> Iterable[str]:
        sizes, names = {size_of(sent) for sent in self._trades}, {sent.trade_id for sent in self._trades}
        yield from (f"the book has orders of {size}, which nobody approved" for size in self._orders.keys() - sizes)
        yield from (f"trade {name} is in the ledger, nobody approved it" for name in self._rows.keys() - names)
        correlations = {sent.correlation for sent in self._trades}
        told = {name for name, one in self.told.items() if one}
        yield from (f"a confirmation of {name} came, which nobody published" for name in told - correlations)

    def _unfinished(self) -> Iterable[str]:
        yield from (f"order {one.ticket} is still open at the broker" for one in self._traded if one.is_open)
        for row in self._tables.executions:
            if row["is_open"]:
                yield f"trade {row['trade_id']} is still {row['state']} in the ledger"
        if self._tables.outbox:
            yield f"{len(self._tables.outbox)} messages are still in the outbox"
        if len(self._tables.accounts) != 1:
            yield f"{len(self._tables.accounts)} rows for the account in the ledger"


def _wrong_about_units(last: Confirmation, sent: Sent, orders: list[Traded]) -> Iterable[str]:
    approved, size = sent.approved["position_units"], CONTRACT_SIZE[base_symbol(last["symbol"])]
    if last["intended_units"] != exactly(approved):
        yield f"{last['intended_units']} units are told as intended, {approved} were"
    executed = sum((one.lots for one in orders), Decimal(0)) * size
    if last["status"] != "unresolved" and last["executed_units"] != exactly(executed):
        yield f"{last['executed_units']} units are told as executed, the deals sum up to {executed}"


def _wrong_end(last: Confirmation, allowed: Collection[Outcome] | None) -> Iterable[str]:
    if last["final"] is not (last["status"] != "unresolved"):
        yield f"{last['status']} is told with final = {last['final']}"
    if allowed is None and not last["final"]:
        yield "still unresolved"
    if allowed is not None and last.outcome not in allowed:
        yield f"ended {last.outcome}, which its behaviour does not allow: {sorted(map(str, allowed))}"


def _name(sent: Sent) -> str:
    return f"{sent.trade_id} ({sent.approved['symbol']})"
