"""
The token that ties an order at the broker to an attempt in the ledger.

A token is a 63-bit number, carried in the order's `magic` (brokers keep it) and again, in short base 32, in its
`comment` (brokers may overwrite it)::

    | namespace (21 bits) | counter (36 bits) | attempt (6 bits) |

The namespace is random per database, so that two ledgers on one account never claim each other's orders; the counter
numbers the ledger's trades; the attempt numbers the sends of one trade, from 1. Two namespaces belong to no ledger: 0,
of all numbers that are no tokens, and the highest one, of canaries.
"""

from __future__ import annotations

ATTEMPT_BITS = 6
COUNTER_BITS = 36
NAMESPACE_BITS = 21
MAX_ATTEMPTS = (1 << ATTEMPT_BITS) - 1
CANARY_NAMESPACE = (1 << NAMESPACE_BITS) - 1
COMMENT_PREFIX = "mw"
COMMENT_LENGTH = 15  # characters: the prefix and 65 bits in base 32
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing that reads like something else


def base_token(namespace: int, counter: int) -> int:
    """Return the token of a trade before any attempt: `namespace` in 1..2^21-1, `counter` in 0..2^36-1."""
    if not 0 < namespace < 1 << NAMESPACE_BITS:
        raise ValueError(f"token namespace {namespace} does not fit {NAMESPACE_BITS} bits")
    if not 0 <= counter < 1 << COUNTER_BITS:
        raise ValueError(f"token counter {counter} does not fit {COUNTER_BITS} bits")
    return ((namespace << COUNTER_BITS) | counter) << ATTEMPT_BITS


def attempt_token(base: int, attempt: int) -> int:
    """Return the token of one attempt (1..63) of the trade with that base token."""
    if not 0 < attempt <= MAX_ATTEMPTS:
        raise ValueError(f"attempt {attempt} is outside 1..{MAX_ATTEMPTS}")
    return base | attempt


def trade_of(magic: int) -> int:
    """Return the base token of the trade that an attempt's token belongs to."""
    return magic >> ATTEMPT_BITS << ATTEMPT_BITS


def namespace_of(magic: int) -> int:
    """Return the namespace of a token; 0 for every number outside the ledger's namespaces."""
    return magic >> (ATTEMPT_BITS + COUNTER_BITS)


def comment_of(magic: int) -> str:
    """Return the token as an order comment: 15 characters, well below MetaTrader's 29."""
    digits = []
    for _ in range(13):
        magic, digit = divmod(magic, 32)
        digits.append(_ALPHABET[digit])
    return COMMENT_PREFIX + "".join(reversed(digits))


def token_in(comment: str) -> int | None:
    """Read the token back from a comment; None when the comment carries none (a broker may have changed it)."""
    text = comment.removeprefix(COMMENT_PREFIX)
    if len(comment) != len(COMMENT_PREFIX) + 13 or len(text) != 13 or any(c not in _ALPHABET for c in text):  # noqa: PLR2004 - 65 bits in base 32
        return None
    magic = 0
    for character in text:
        magic = magic * 32 + _ALPHABET.index(character)
    return magic
