"""Ids of executions: unique like any random UUID, and in the order of time."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

_VERSION = 7 << 76
_RANDOM = (1 << 76) - 1  # variant and random bits of a version 4, below its version


def identifier(at: datetime) -> UUID:
    """
    Return a new UUID of version 7 (RFC 9562): `at` in milliseconds, then 74 random bits.

    New rows then stand side by side in every index by id: a ledger of millions writes as few pages as an empty one.
    """
    milliseconds = int(at.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | _VERSION | (uuid4().int & _RANDOM))
