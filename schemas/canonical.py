"""
The identity of a message that carries no other: the digest of its canonical form (RFC 8785).

The canonical form sorts keys and reads numbers as IEEE doubles, so `1`, `1.0` and `1e0` are equal, and so are numbers
that differ only beyond 17 significant digits. That is enough to tell messages apart: the decision inside is compared
again, as exact decimals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

import rfc8785

from schemas.strict_json import JsonValue

_LARGEST_EXACT = 2**53  # every whole number up to here is a double
_SURELY_HELD_CHARACTERS = 16  # 15 digits, which every double tells apart, and the point


def body_digest(value: JsonValue) -> str:
    """
    Return `sha256:` and 64 hexadecimal digits for a value that `strict_json.parse` returned.

    Unknown fields count, defaults of our models do not: it is the digest of what was sent. Never raises.
    """
    return "sha256:" + hashlib.sha256(canonical_text(value).encode()).hexdigest()


def canonical_text(value: JsonValue) -> str:
    """Return the canonical form. Python's own writer escapes text as RFC 8785 does, several times faster."""
    return _WRITERS[type(value)](value)


def _object(members: dict[str, JsonValue]) -> str:
    written = [
        f"{encode_basestring(key)}:{_WRITERS[type(value := members[key])](value)}" for key in _sorted_keys(members)
    ]
    return f"{{{','.join(written)}}}"


def _list(items: list[JsonValue]) -> str:
    return f"[{','.join([_WRITERS[type(item)](item) for item in items])}]"


def _integer(number: int) -> str:
    return str(number) if abs(number) <= _LARGEST_EXACT else _double(float(number))


def _decimal(number: Decimal) -> str:
    """Write a fraction of at most 15 digits as it is: a double holds it, and its shortest form has the same digits."""
    text = str(number)
    if len(text) <= _SURELY_HELD_CHARACTERS and "." in text and "E" not in text and number:
        return text.rstrip("0").rstrip(".")
    return _double(float(number))


def _double(double: float) -> str:
    if double == 0:
        return "0"
    text = repr(double)
    if "e" in text:  # Python changes to exponents earlier than ECMAScript, whose notation counts
        return rfc8785.dumps(double).decode()
    return text.removesuffix(".0")


def _sorted_keys(members: dict[str, JsonValue]) -> list[str]:
    """Sort by UTF-16 units, which is not the order of code points beyond the Basic Multilingual Plane."""
    if "".join(members).isascii():
        return sorted(members)
    return sorted(members, key=lambda key: key.encode("utf-16-be"))


# By exact type, one look-up a value: of all that is done with a message, this is done most often.
_WRITERS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring,
    Decimal: _decimal,
    int: _integer,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): {None: "null"}.__getitem__,
    dict: _object,
    list: _list,
}
