"""Values as PostgreSQL gets them: whole lists of rows travel as one JSON text, so that a batch costs few statements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = Mapping[str, Any]

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SUSPICIOUS = ("\\u0000", "\\ud")


def as_row(value: DataclassInstance) -> dict[str, Any]:
    """Return a dataclass's fields by name, without copying what they hold."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def rows_as_json(rows: Sequence[Row]) -> str:
    """Return rows for `json_populate_recordset`: decimals and times as text, bytes as PostgreSQL reads them."""
    text = json.dumps(rows, default=json_default)
    if any(sign in text for sign in _SUSPICIOUS):
        return json.dumps(_cleaned(json.loads(text)), default=json_default)
    return text


def json_default(value: object) -> str:
    """Write what JSON has no type for as exact text."""
    match value:
        case bytes():
            return "\\x" + value.hex()
        case datetime():
            return value.isoformat()
        case Decimal() | UUID():
            return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written to the ledger")


def clean(text: str) -> str:
    """Replace what PostgreSQL cannot store in a text: U+0000 and lone surrogates."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", _REPLACEMENT)


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(key): _cleaned(item) for key, item in value.items()}
        case list():
            return [_cleaned(item) for item in value]
    return value
