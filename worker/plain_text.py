"""What may stand in a log line: text of a bounded length, without secrets, without anything that steers a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, MutableMapping
from math import isfinite
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

LONGEST_DETAIL = 300  # characters, where an error is told in short
LONGEST_TEXT = 4_000  # characters of one field
LONGEST_STACK = 16_000  # characters of an exception with its stack
WIDEST_NUMBER = 128  # bits
MOST_ITEMS = 100  # of one list
DEEPEST = 4  # lists in lists
SHORTEST_SECRET = 4  # characters: a shorter one stands in half of all words; in a URL it is masked all the same

_PASSWORD_IN_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://[^:/@\s]*):[^@\s]*@")
_STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LINES = frozenset({"exception", "stack"})  # what is written in several lines
_OURS = frozenset({"event", "level", "logger", "timestamp"})


class Cleaner:
    """Makes each field of a log line fit to be written down."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        forms = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, forms))) if forms else None

    def clean(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Be a processor of structlog, after the one that writes exceptions out."""
        is_ours = str(event.get("logger", "")).startswith("worker.")  # then it names its events itself
        for name, value in event.items():
            if name in _LINES:
                event[name] = self._text(str(value), LONGEST_STACK, several_lines=True)
            elif not (is_ours and name in _OURS):
                event[name] = self._value(value, DEEPEST)
        return event

    def _value(self, value: object, depth: int) -> object:
        match value:
            case None | bool():
                return value
            case int() if value.bit_length() <= WIDEST_NUMBER:
                return value
            case float() if isfinite(value):
                return value
            case dict() if depth:
                items = list(value.items())[:MOST_ITEMS]
                return {self._text(str(name), LONGEST_TEXT): self._value(one, depth - 1) for name, one in items}
            case list() | tuple() | set() | frozenset() if depth:
                return [self._value(one, depth - 1) for one in list(value)[:MOST_ITEMS]]
        return self._text("a number of many digits" if isinstance(value, int) else str(value), LONGEST_TEXT)

    def _text(self, text: str, longest: int, *, several_lines: bool = False) -> str:
        text = self._masked(text)
        if len(text) > longest:
            text = f"{text[:longest]}... ({len(text)} characters)"
        if text.isprintable():  # it nearly always is
            return text
        text = _STEERING.sub(_escaped, text)
        return text if several_lines else text.replace("\n", "\\n")

    def _masked(self, text: str) -> str:
        if self._secrets is not None:
            text = self._secrets.sub("***", text)
        return without_password(text) if "://" in text else text


def without_password(text: str) -> str:
    """Return text with the password of every URL in it masked."""
    return _PASSWORD_IN_URL.sub(r"\g<scheme>:***@", text)


def _forms(secret: str) -> Iterator[str]:
    """Yield how a secret may be written: as it is, in a URL, in JSON, in Python."""
    for plain in {secret, unquote(secret), unquote_plus(secret)}:
        if len(plain) >= SHORTEST_SECRET:
            yield plain
            yield quote(plain, safe="")
            yield quote(plain)
            yield quote_plus(plain)
            yield quote(plain, safe="").lower()
            yield json.dumps(plain)[1:-1]
            yield repr(plain)[1:-1]


def _escaped(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape", "backslashreplace").decode("ascii")
