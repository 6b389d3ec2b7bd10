"""
What exists in RabbitMQ, as data: exchanges, queues and bindings for a list of accounts.

The worker declares or checks it (`declaration`), and `topology export` writes it for RabbitMQ (`definitions`). Every
argument is known to RabbitMQ 3.10 and still good in 4.x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

TRADES = "trades"
TRADES_UNROUTABLE = "trades.unroutable"
TRADES_DLX = "trades.dlx"
TRADES_DEAD = "trades.dead"
TRADES_PARKED = "trades.parked"
EXECUTIONS = "executions"
EXECUTIONS_UNROUTED = "executions.unrouted"

DELIVERY_LIMIT = 1000
"""
A last resort against a message that kills the process each time. It is high because RabbitMQ 3.10 counts every lost
connection as a delivery of all that was unacknowledged, and because 4.x has a default of 20.
"""

NEVER_GIVE_UP = 1_000_000_000
"""For the last queue on the way: over its limit a message would be gone. RabbitMQ 3.10 has no word for "unlimited"."""

UNROUTED_MESSAGES = 100_000
UNROUTED_BYTES = 256 * 1024 * 1024
"""Confirmations that no subscriber was bound for: the newest are kept, and any can be published again."""

_QUEUE = "trades.approved."
_LAST_STATION: Mapping[str, str | int | bool] = {"x-queue-type": "quorum", "x-delivery-limit": NEVER_GIVE_UP}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    kind: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue."""

    name: str
    arguments: Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class Binding:
    """What an exchange gets with this routing key goes into the queue."""

    exchange: str
    queue: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that must exist, in an order in which it can be created."""

    exchanges: Sequence[Exchange]
    queues: Sequence[Queue]
    bindings: Sequence[Binding]


def approved_queue(account: str) -> str:
    """Return the name of the queue with an account's approved trades."""
    return _QUEUE + account


def account_of_queue(queue: str) -> str | None:
    """Return the account whose approved trades are in this queue, None for any other queue."""
    return queue.removeprefix(_QUEUE) if queue.startswith(_QUEUE) else None


def account_of_routing_key(routing_key: str) -> str | None:
    """Return the account that a trade was addressed to, None when its routing key is no `approved.<account>...`."""
    match routing_key.split("."):
        case ["approved", account, *_] if account:
            return account
    return None


def topology(accounts: Sequence[str]) -> Topology:
    """Return what must exist for these accounts."""
    return Topology(
        exchanges=[
            Exchange(TRADES_UNROUTABLE, "fanout"),
            Exchange(TRADES, "topic", {"alternate-exchange": TRADES_UNROUTABLE}),
            Exchange(TRADES_DLX, "topic"),
            Exchange(EXECUTIONS_UNROUTED, "fanout"),
            Exchange(EXECUTIONS, "topic", {"alternate-exchange": EXECUTIONS_UNROUTED}),
        ],
        queues=[
            Queue(TRADES_UNROUTABLE, _LAST_STATION),
            Queue(TRADES_DEAD, _LAST_STATION),
            Queue(TRADES_PARKED, _LAST_STATION),  # reached through the default exchange
            Queue(EXECUTIONS_UNROUTED, _bounded()),
            *(Queue(approved_queue(account), _approved()) for account in accounts),
        ],
        bindings=[
            Binding(TRADES_UNROUTABLE, TRADES_UNROUTABLE, ""),
            Binding(TRADES_DLX, TRADES_DEAD, "#"),
            Binding(EXECUTIONS_UNROUTED, EXECUTIONS_UNROUTED, ""),
            *(Binding(TRADES, approved_queue(account), f"approved.{account}.#") for account in accounts),
        ],
    )


def _approved() -> Mapping[str, str | int | bool]:
    return {  # no routing key for dead letters: they keep their own, and with it account and symbol
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": TRADES_DLX,
        # At-least-once needs reject-publish: with drop-head RabbitMQ falls back to at-most-once and does not say so.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _bounded() -> Mapping[str, str | int | bool]:
    return {
        "x-queue-type": "quorum",
        "x-max-length": UNROUTED_MESSAGES,
        "x-max-length-bytes": UNROUTED_BYTES,
        "x-overflow": "drop-head",
    }
