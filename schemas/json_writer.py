"""Writes models as JSON, with decimals as numbers in plain notation and times in UTC with microseconds and `Z`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from json.encoder import encode_basestring

from pydantic import BaseModel

_LITERALS = {None: "null", True: "true", False: "false"}


def written(value: object) -> str:
    """Return the JSON text of a model and of what models hold. Raises `TypeError` for anything else, floats too."""
    match value:
        case BaseModel():
            members = (f'"{name}":{written(part)}' for name, part in value)
            return f"{{{','.join(members)}}}"
        case tuple():
            return f"[{','.join(map(written, value))}]"
        case _:
            return _scalar(value)


def _scalar(value: object) -> str:
    match value:
        case None | bool():
            return _LITERALS[value]
        case str():
            return encode_basestring(value)
        case Decimal():
            return format(value, "f")
        case int():
            return str(value)
        case datetime():
            return f'"{value.isoformat(timespec="microseconds").removesuffix("+00:00")}Z"'
        case _:
            raise TypeError(f"no JSON is defined for {type(value).__name__}")
