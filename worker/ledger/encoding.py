"""Values as PostgreSQL gets them: whole lists of rows travel as one JSON text, so that a batch costs few statements."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic_core import PydanticSerializationError, to_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = Mapping[str, Any]

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_NUL = "\\u0000"


def as_row(value: DataclassInstance) -> dict[str, Any]:
    """Return a dataclass's fields by name, without copying what they hold."""
    names, values = _fields(type(value))
    return dict(zip(names, values(value), strict=True))


@cache
def _fields(kind: type[DataclassInstance]) -> tuple[Sequence[str], Callable[[object], Sequence[Any]]]:
    names = [field.name for field in fields(kind)]
    return names, attrgetter(*names)


def rows_as_json(rows: Sequence[Row]) -> str:
    """Return rows for `json_populate_recordset`: decimals and times as exact text. Bytes have no place in them."""
    try:
        text = to_json(rows).decode()
    except PydanticSerializationError:  # a lone surrogate
        return _carefully(rows)
    return _carefully(rows) if _NUL in text else text


def _carefully(rows: Sequence[Row]) -> str:
    return json.dumps(_cleaned(json.loads(json.dumps(rows, default=json_default))))


def json_default(value: object) -> str:
    """Write what JSON has no type for as exact text."""
    match value:
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
