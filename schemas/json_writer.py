"""Writes models as JSON, with decimals as numbers in plain notation and times in UTC with microseconds and `Z`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from pydantic import BaseModel


def written(value: object) -> str:
    """Return the JSON text of a model and of what models hold. Raises `TypeError` for anything else, floats too."""
    return _WRITERS[type(value)](value)


def _model(model: BaseModel) -> str:
    members = [f'"{name}":{_WRITERS[type(part)](part)}' for name, part in vars(model).items()]
    return f"{{{','.join(members)}}}"


def _tuple(items: tuple[object, ...]) -> str:
    return f"[{','.join(map(written, items))}]"


def _decimal(number: Decimal) -> str:
    text = str(number)
    return text if "E" not in text else format(number, "f")


def _moment(moment: datetime) -> str:
    return f'"{moment.isoformat(timespec="microseconds").removesuffix("+00:00")}Z"'


class _Writers(dict[type, Callable[[Any], str]]):
    """Writers by exact type; that of a subclass is looked for once."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        writer = next((self[known] for known in tuple(self) if issubclass(kind, known)), None)
        if writer is None:
            raise TypeError(f"no JSON is defined for {kind.__name__}")
        self[kind] = writer
        return writer


_WRITERS = _Writers(
    {
        BaseModel: _model,
        tuple: _tuple,
        type(None): {None: "null"}.__getitem__,
        bool: {True: "true", False: "false"}.__getitem__,
        str: encode_basestring,
        Decimal: _decimal,
        int: str,
        datetime: _moment,
    }
)
