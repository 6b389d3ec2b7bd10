"""
The identity of a message that carries no other: the digest of its canonical form (RFC 8785).

The canonical form sorts keys and reads numbers as IEEE doubles, so `1`, `1.0` and `1e0` are equal, and so are numbers
that differ only beyond 17 significant digits. That is enough to tell messages apart: the decision inside is compared
again, as exact decimals.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from json.encoder import encode_basestring

import rfc8785

from schemas.strict_json import JsonValue


def body_digest(value: JsonValue) -> str:
    """
    Return `sha256:` and 64 hexadecimal digits for a value that `strict_json.parse` returned.

    Unknown fields count, defaults of our models do not: it is the digest of what was sent. Never raises.
    """
    return "sha256:" + hashlib.sha256(canonical_text(value).encode()).hexdigest()


def canonical_text(value: JsonValue) -> str:
    """Return the canonical form. Python's own writer escapes text as RFC 8785 does, several times faster."""
    match value:
        case str():
            return encode_basestring(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return _number(float(value))
        case list():
            return f"[{','.join(map(canonical_text, value))}]"
        case _:
            members = (f"{encode_basestring(key)}:{canonical_text(value[key])}" for key in _sorted_keys(value))
            return f"{{{','.join(members)}}}"


def _number(double: float) -> str:
    if double == 0:
        return "0"
    text = repr(double)
    if "e" in text:  # Python changes to exponents earlier than ECMAScript, whose notation counts
        return rfc8785.dumps(double).decode()
    return text.removesuffix(".0")


def _sorted_keys(members: dict[str, JsonValue]) -> list[str]:
    """Sort by UTF-16 units, which is not the order of code points beyond the Basic Multilingual Plane."""
    if all(map(str.isascii, members)):
        return sorted(members)
    return sorted(members, key=lambda key: key.encode("utf-16-be"))
