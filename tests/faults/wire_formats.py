"""
Where messages begin and end on the wires to RabbitMQ and PostgreSQL, and which ones are worth losing.

Both formats tell each message's length at its start, so that a stream can be cut into messages without knowing more.
PostgreSQL's is unencrypted (`sslmode=disable&gssencmode=disable`): the question for encryption has an answer without
a length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

LengthOf = Callable[[bytes | bytearray], int | None]  # of the message at the start; None: too little to tell


class Towards(Enum):
    """The direction of a message."""

    SERVER = "server"
    CLIENT = "client"


class Splitter:
    """Cuts a stream of bytes into messages, as they become complete."""

    def __init__(self, length_of: LengthOf) -> None:
        self._length_of = length_of
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take what came and return the messages that are complete."""
        self._rest += data
        while (length := self._length_of(self._rest)) is not None and len(self._rest) >= length:
            yield bytes(self._rest[:length])
            del self._rest[:length]


def anything(head: bytes | bytearray) -> int | None:
    """Take whatever came for a message: for wires whose format does not matter."""
    return len(head) or None


def amqp(head: bytes | bytearray) -> int | None:
    """Read AMQP 0-9-1: a greeting of 8 bytes, then frames of type, channel, size, content, end."""
    if head[:1] == b"A":
        return 8
    return 8 + int.from_bytes(head[3:7]) if len(head) >= 7 else None


def postgres(head: bytes | bytearray) -> int | None:
    """Read PostgreSQL 3.0: a letter and a length that counts itself; a client's first message has no letter."""
    letter = 0 if head[:1] == b"\0" else 1
    return letter + int.from_bytes(head[letter : letter + 4]) if len(head) >= letter + 4 else None


@dataclass(frozen=True)
class Moment:
    """A message that is worth losing: the wire is cut when it has come and before it is passed on."""

    name: str
    towards: Towards
    is_it: Callable[[bytes], bool]

    def __str__(self) -> str:
        return self.name


def _method(class_id: int, method_id: int) -> Callable[[bytes], bool]:
    marked = class_id.to_bytes(2) + method_id.to_bytes(2)
    return lambda frame: frame[:1] == b"\x01" and frame[7:11] == marked


def _asks_to_commit(message: bytes) -> bool:
    """Recognise a simple query, or a statement to parse: a pipeline sends the latter."""
    return message[:1] in {b"Q", b"P"} and b"commit" in message[:64].lower()


def _is_committed(message: bytes) -> bool:
    return message[:1] == b"C" and message[5:11] == b"COMMIT"


COMMIT = Moment("commit", Towards.SERVER, _asks_to_commit)
COMMITTED = Moment("committed", Towards.CLIENT, _is_committed)
PUBLISH = Moment("publish", Towards.SERVER, _method(60, 40))
DELIVERY = Moment("delivery", Towards.CLIENT, _method(60, 60))
ACKNOWLEDGEMENT = Moment("acknowledgement", Towards.SERVER, _method(60, 80))
CONFIRM = Moment("confirm", Towards.CLIENT, _method(60, 80))

POSTGRES_MOMENTS = (COMMIT, COMMITTED)
AMQP_MOMENTS = (PUBLISH, DELIVERY, ACKNOWLEDGEMENT, CONFIRM)
