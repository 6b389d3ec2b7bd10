"""Text that every receiver can take: UTF-8 without U+0000."""

from __future__ import annotations

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


def storable(text: str) -> str:
    """
    Replace U+0000 and lone surrogates by U+FFFD.

    PostgreSQL stores no U+0000 and UTF-8 knows no lone surrogate; a broker's comment or a stack trace may hold both.
    """
    return text if text.isprintable() else _UNSTORABLE.sub(_REPLACEMENT, text)


def find_unstorable(text: str) -> str | None:
    """Return the first character that `storable` would replace."""
    found = _UNSTORABLE.search(text)
    return found.group() if found else None
