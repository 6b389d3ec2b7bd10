"""
Reads JSON (RFC 8259) so that every reader of the same bytes sees the same value, or nobody sees any.

Python's own reader takes NaN, keeps the last of two equal keys, lets half a surrogate pair through and ends in a
RecursionError on deep nesting. A trade must not depend on such choices, so all of it is refused here. A byte order mark
is refused too: RFC 8259 forbids senders to write one.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import NoReturn, TypeAlias

from schemas.refusals import DeadLetterReason, RefusedMessage, quoted, shortened
from schemas.text import find_unstorable

# A string, not a `type` statement: Python 3.11 must read it.
JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | bool | int | Decimal | None"

MAX_BODY_BYTES = 1024 * 1024
"""A message of RPM has 3 kB; with 5000 open positions it would still fit."""

MAX_DEPTH = 32
"""RPM's own messages are 5 deep. 32 leaves room for unknown fields and is far from any recursion limit."""

MAX_NUMBER_CHARACTERS = 400
"""The largest double, written out, has 309 digits. The limit also bounds the time that big integers take."""

_SMALLEST_EXPONENT = -324  # 4.9e-324 is the smallest double above zero
_SURELY_FINITE_CHARACTERS = 300
_ZERO = Decimal(0)
_BYTE_ORDER_MARK = "\ufeff"
_SUSPECT_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
# Possessive, and an open string runs to the end: no input makes it look at a character twice.
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


class MalformedJson(RefusedMessage):
    """The body is not JSON as RFC 8259 and the rules above have it."""

    def __init__(self, detail: str) -> None:
        super().__init__(DeadLetterReason.MALFORMED_JSON, detail)


class MessageTooLarge(RefusedMessage):
    """The body is longer than `MAX_BODY_BYTES`; nothing of it was read."""

    def __init__(self, detail: str) -> None:
        super().__init__(DeadLetterReason.MESSAGE_TOO_LARGE, detail)


def parse(body: bytes) -> JsonValue:
    """
    Return the JSON value of a message body; numbers with a fraction or an exponent as exact `Decimal`, others as `int`.

    Raises `MessageTooLarge` and `MalformedJson`, and never anything else. Time and memory are bounded by the size.
    """
    if len(body) > MAX_BODY_BYTES:
        raise MessageTooLarge(f"the body has {len(body)} bytes, at most {MAX_BODY_BYTES} are read")
    text = _decode(body)
    _refuse_deep_nesting(text)
    try:
        value: JsonValue = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedJson(f"not JSON at line {error.lineno}, column {error.colno}: {_sentence(error)}") from None
    if _SUSPECT_ESCAPE.search(text):
        _refuse_unstorable_text(value)
    return value


def _decode(body: bytes) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedJson(f"not UTF-8: {error.reason} at byte {error.start}") from None
    if text.startswith(_BYTE_ORDER_MARK):
        raise MalformedJson("starts with a byte order mark, which JSON does not allow")
    if not text or text.isspace():
        raise MalformedJson("the body is empty")
    return text


def _sentence(error: json.JSONDecodeError) -> str:
    return error.msg.removesuffix(" starting at").lower()


def _refuse_deep_nesting(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        match text[token.start()]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
        if depth > MAX_DEPTH:
            raise MalformedJson(f"nested more than {MAX_DEPTH} levels deep")


def _refuse_unstorable_text(value: JsonValue) -> None:
    pending = [value]
    while pending:
        match pending.pop():
            case str() as text if found := find_unstorable(text):
                raise MalformedJson(f"a string contains U+{ord(found):04X}, which no text may contain")
            case list() as items:
                pending.extend(items)
            case dict() as members:
                pending.extend(members.keys())
                pending.extend(members.values())
            case _:
                pass


def _unique(members: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    unique = dict(members)
    if len(unique) == len(members):
        return unique
    key, _ = Counter(key for key, _ in members).most_common(1)[0]
    raise MalformedJson(f"the key {quoted(key)} stands more than once in one object")


def _integer(literal: str) -> int:
    if len(literal) > _SURELY_FINITE_CHARACTERS:
        _refuse_infinite(literal)
    return int(literal)


def _decimal(literal: str) -> Decimal:
    if len(literal) < _SURELY_FINITE_CHARACTERS and "e" not in literal and "E" not in literal:
        return Decimal(literal) or _ZERO  # nor is it too small: as every number that RPM writes
    _refuse_infinite(literal)
    try:
        number = Decimal(literal)
    except InvalidOperation:
        raise MalformedJson(f"the number {shortened(literal)} has an exponent out of range") from None
    if not number:
        return _ZERO  # 0e999999 is a zero too, but its exponent would burden every sum
    # A double would call it zero, and writing it out would take as many digits as the exponent says.
    if number.adjusted() < _SMALLEST_EXPONENT:
        raise MalformedJson(f"the number {shortened(literal)} is too small for a double")
    return number


def _refuse_infinite(literal: str) -> None:
    if len(literal) > MAX_NUMBER_CHARACTERS:
        raise MalformedJson(f"the number {shortened(literal)} has more than {MAX_NUMBER_CHARACTERS} characters")
    if math.isinf(float(literal)):
        raise MalformedJson(f"the number {shortened(literal)} is infinite as a double")


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_decimal, parse_int=_integer, parse_constant=_refuse_constant
)
