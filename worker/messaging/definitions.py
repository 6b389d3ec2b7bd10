"""The topology and its users as RabbitMQ's own `definitions.json`, for `rabbitmqctl import_definitions`."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.messaging.topology import (
    EXECUTIONS,
    EXECUTIONS_UNROUTED,
    TRADES,
    TRADES_DEAD,
    TRADES_DLX,
    TRADES_PARKED,
    TRADES_UNROUTABLE,
    approved_queue,
    topology,
)

DEFAULT_EXCHANGE = "amq.default"
"""How RabbitMQ's permissions call the exchange without a name."""

_NOTHING = "^$"
_SUBSCRIBERS_OWN = (r"sub\..*", r"amq\.gen-.*")
"""How subscribers name their queues; the latter is RabbitMQ's own choice for one that is declared without a name."""

_SALT_BYTES = 4


@dataclass(frozen=True, slots=True)
class User:
    """A user with the least rights that its work needs; each right is a regular expression over names."""

    name: str
    configure: str = _NOTHING
    write: str = _NOTHING
    read: str = _NOTHING
    tags: tuple[str, ...] = ()


def users(accounts: Sequence[str]) -> list[User]:
    """
    Return who needs what.

    - `mt5-worker`: reads the queues it works on, writes to its exchanges, creates nothing.
    - `rpm`: publishes trades, and nothing else.
    - `subscriber`: keeps queues of its own, named `sub.<anything>` or by RabbitMQ, and binds them to `executions`.
    - `mt5-operator`: creates the topology, publishes by hand, listens in.
    - `monitoring`: sees the management interface and no message.
    """
    queues = [*map(approved_queue, accounts), TRADES_DEAD, TRADES_UNROUTABLE]
    exchanges = [TRADES, TRADES_UNROUTABLE, TRADES_DLX, EXECUTIONS, EXECUTIONS_UNROUTED]
    operators_own = [*exchanges, *queues, TRADES_PARKED]
    everything = _names(operators_own, r"sub\..*")
    return [
        # The default exchange leads to reply queues, to the parking queue and, for replays, straight to a trade queue.
        User("mt5-worker", write=_names([EXECUTIONS, TRADES_DLX, TRADES, DEFAULT_EXCHANGE]), read=_names(queues)),
        User("rpm", write=_names([TRADES])),
        User(
            "subscriber",
            configure=_names([], *_SUBSCRIBERS_OWN),
            write=_names([], *_SUBSCRIBERS_OWN),
            read=_names([EXECUTIONS], *_SUBSCRIBERS_OWN),
        ),
        User(
            "mt5-operator",
            configure=everything,
            write=_names([*operators_own, DEFAULT_EXCHANGE], r"sub\..*"),
            read=everything,
            tags=("monitoring",),
        ),
        User("monitoring", tags=("monitoring",)),
    ]


def definitions(
    accounts: Sequence[str], vhost: str = "/", passwords: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """
    Return the definitions for a virtual host with everything that these accounts need.

    Passwords leave as salted hashes. A user without one cannot log in until `rabbitmqctl change_password` gives it one.
    """
    wanted = topology(accounts)
    known = passwords or {}
    return {
        "vhosts": [{"name": vhost}],
        "users": [_user(user, known.get(user.name)) for user in users(accounts)],
        "permissions": [_permission(user, vhost) for user in users(accounts)],
        "exchanges": [
            _durable(exchange.name, vhost, exchange.arguments) | {"type": exchange.kind, "internal": False}
            for exchange in wanted.exchanges
        ],
        "queues": [_durable(queue.name, vhost, queue.arguments) for queue in wanted.queues],
        "bindings": [
            {
                "source": binding.exchange,
                "vhost": vhost,
                "destination": binding.queue,
                "destination_type": "queue",
                "routing_key": binding.routing_key,
                "arguments": {},
            }
            for binding in wanted.bindings
        ],
    }


def _durable(name: str, vhost: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": dict(arguments)}


def _user(user: User, password: str | None) -> dict[str, Any]:
    return {
        "name": user.name,
        "password_hash": _hashed(password) if password else "",
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(user.tags),
    }


def _permission(user: User, vhost: str) -> dict[str, str]:
    rights = {"configure": user.configure, "write": user.write, "read": user.read}
    return {"user": user.name, "vhost": vhost} | rights


def _hashed(password: str) -> str:
    """RabbitMQ's own scheme: base64 of a salt of four bytes and SHA-256 over salt and password."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _names(names: Iterable[str], *patterns: str) -> str:
    return f"^({'|'.join([*map(re.escape, names), *patterns])})$"
