"""
A small day at one account that passes every point at which the worker may end.

It goes on by itself: what is due is done whenever somebody asks it to go on, with or without a worker, until
everything that was begun has come to rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import psycopg
from psycopg.rows import DictRow, dict_row

from tests.acceptance.oracle import by_correlation
from tests.faults.verdict import Outcome
from tests.fixtures.rpm import LONG, RPM, SHORT, Sent, approval
from tests.fixtures.subscriber import Confirmation, Subscriber
from worker.clock import SystemClock
from worker.ledger.operators import operator
from worker.ledger.replays import ReplayOrder, replay
from worker.pipeline.prospects import Terms

FILLED = ("filled", None)

# What becomes of a trade, however often the worker is ended. One that is given up, because a send whose answer nobody
# saw counts as one, is replayed by the operator of this story until it is filled.
ENDS: Mapping[str, Collection[Outcome]] = {
    "EURUSD": {FILLED},
    "GBPUSD.slow": {FILLED},
    "EURUSD.partial": {("partially_filled", None)},
    "GBPUSD.pending": {("expired", "order_timeout")},
    "XAUUSD.race": {FILLED},
    "EURUSD.requote": {FILLED},
    "GBPUSD.notsent": {FILLED},
    "EURJPY.lostreply": {FILLED},
    "AUDUSD.reject": {("rejected", "broker_rejection")},
    "USDJPY.closed": {("rejected", "market_closed")},
}
SETTINGS = {
    "MT5_BACKEND": "simulated",
    "MAX_RETRIES": "2",  # fewer than `.requote` takes: it is given up, dead-lettered, and replayed
    "MAX_TRADE_AGE_SECONDS": "0",
    "ORDER_TIMEOUT_SECONDS": "3",
    "UNKNOWN_HORIZON_SECONDS": "1",
    "RETRY_BACKOFF_SECONDS": "0.05",
    "POLL_INTERVAL_SECONDS": "0.1",
    "TERMINAL_CALL_TIMEOUT_SECONDS": "3",
    "DRAIN_TIMEOUT_SECONDS": "10",
    "LOG_FORMAT": "json",
}
_ORDER = ReplayOrder(by="the fault test", reason="the network is back", terms=Terms(max_trade_age=timedelta(0)))
_UNITS = {"E": 1_000.0, "G": 1_000.0, "A": 1_000.0, "U": 1_000.0, "X": 1.0}

_STATE = """
select (select count(*) from ledger.executions where account = %(account)s and is_open) as open,
       (select count(*) from ledger.executions where account = %(account)s and state = 'error') as given_up,
       (select count(*) from ledger.outbox where account = %(account)s) as unpublished,
       (select count(*) from ledger.dead_letters where desk = %(account)s and reason = 'malformed_json') as malformed,
       (select count(*) from ledger.dead_letters where desk = %(account)s and reason = 'unknown_account') as unroutable,
       (select count(*) from ledger.dead_letters where desk = %(account)s and state = 'replaying') as replaying
"""
_LETTERS_TO_REPLAY = """
select letter_id from ledger.dead_letters where account = %(account)s and reason = 'network_error' and state = 'new'
"""


def ends(sent: Sent, _told: Sequence[Confirmation]) -> Collection[Outcome]:
    """Return how a trade of this story may end."""
    return ENDS[sent.approved["symbol"]]


@dataclass
class Story:
    """The trades of one account, and everything around them. `day` gives each telling sizes of its own."""

    account: str
    rpm: RPM
    downstream: Subscriber
    replies: Subscriber
    postgres: psycopg.Connection[DictRow]
    postgres_url: str
    day: int = 0
    published: list[Sent] = field(default_factory=list)
    _repeated: set[str] = field(default_factory=set)
    _replayed: set[UUID] = field(default_factory=set)

    @classmethod
    def of(cls, account: str, rpm: RPM, downstream: Subscriber, replies: Subscriber, postgres_url: str) -> Story:
        """Open one for an account that nobody has used."""
        connection = psycopg.connect(postgres_url, autocommit=True, row_factory=dict_row)
        return cls(account, rpm, downstream, replies, connection, postgres_url)

    def begin(self) -> None:
        """Publish one trade of every kind, and two messages that nobody can execute."""
        self.published += [self._publish(symbol, place) for place, symbol in enumerate(ENDS)]
        self.rpm.publish(b"{ this is no JSON, day %d" % self.day, routing_key=f"approved.{self.account}.EURUSD")
        self.rpm.publish(b"{}%s" % (b" " * self.day), routing_key=f"approved.nobody_{self.account}.EURUSD")
        self.day += 1

    def goes_on(self) -> bool:
        """Do what is due now; False when everything has come to rest."""
        told = by_correlation(self.received())
        self._publish_again(told)
        self._replay_what_was_given_up()
        state = self._look(_STATE)[0]
        nothing_open = not any(state[name] for name in ("open", "given_up", "unpublished", "replaying"))
        letters_are_in = state["malformed"] >= self.day and state["unroutable"] >= self.day
        return not (nothing_open and letters_are_in and self._everybody_was_told(told))

    def problems(self) -> list[str]:
        """Tell what a verdict on trades does not see: dead letters and copies for whoever asked for one."""
        state = self._look(_STATE)[0]
        found = [
            f"{state[name]} dead letters of {self.day} {name} messages"
            for name in ("malformed", "unroutable")
            if state[name] != self.day
        ]
        copies = {one.correlation_id for one in self.replies.received}
        found += [
            f"no copy of {sent.order_id} in its reply queue"
            for sent in self._asking()
            if sent.correlation not in copies
        ]
        return found

    def close(self) -> None:
        """Look no more."""
        self.postgres.close()

    def received(self) -> list[Confirmation]:
        """Return what was told about this account."""
        return [one for one in self.downstream.received if one["account"] == self.account]

    def _publish(self, symbol: str, place: int) -> Sent:
        units = _UNITS[symbol[0]] * 10 * (1 + self.day * len(ENDS) + place)
        message = approval(symbol, units, SHORT if place % 2 else LONG)
        reply_to = self.replies.queue if symbol == "EURUSD" else None
        return self.rpm.publish(message, routing_key=f"approved.{self.account}.{symbol}", reply_to=reply_to)

    def _publish_again(self, told: Mapping[str, Sequence[Confirmation]]) -> None:
        """Publish some trades a second time, once they are confirmed: RPM may not have noticed."""
        for sent in self._asking():
            if sent.correlation in told and sent.correlation not in self._repeated:
                self.rpm.publish(sent.body, routing_key=sent.routing_key)
                self._repeated.add(sent.correlation)

    def _everybody_was_told(self, told: Mapping[str, Sequence[Confirmation]]) -> bool:
        final = {name for name, all_of_it in told.items() if max(all_of_it, key=_version)["final"]}
        twice = all(len(told.get(sent.correlation, [])) > 1 for sent in self._asking())
        return twice and {sent.correlation for sent in self.published} <= final

    def _asking(self) -> list[Sent]:
        """Return the trades that are published twice, and want a copy of their confirmation."""
        return [sent for sent in self.published if sent.approved["symbol"] == "EURUSD"]

    def _replay_what_was_given_up(self) -> None:
        waiting = {row["letter_id"] for row in self._look(_LETTERS_TO_REPLAY)} - self._replayed
        if waiting:
            asyncio.run(self._replay(waiting))
            self._replayed |= waiting

    async def _replay(self, letters: Collection[UUID]) -> None:
        async with operator(self.postgres_url, SystemClock()) as desk:
            for letter in letters:
                await replay(desk, letter, _ORDER)

    def _look(self, query: str) -> list[DictRow]:
        return self.postgres.execute(query.encode(), {"account": self.account}).fetchall()


def _version(confirmation: Confirmation) -> int:
    return int(confirmation["version"])
