"""
What the package accepts as arguments; everything else is refused before anything leaves the process.

Whole numbers must be `int`, other numbers `float` (neither 1 nor a Decimal will do), texts at most 29 UTF-16 units.
Unknown keys of a request are ignored, missing ones are 0 or empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from worker.mt5.simulated.failures import invalid_argument, invalid_arguments
from worker.mt5.simulated.structs import Struct, TradeRequest

LONGEST_TEXT = 29  # UTF-16 units: the terminal's field has 32, its end included
_UNSIGNED_64 = 1 << 64
_DEFAULTS: dict[str, type[int | float | str]] = {
    field: str
    if field in ("symbol", "comment")
    else float
    if field in ("volume", "price", "stoplimit", "sl", "tp")
    else int
    for field in TradeRequest.__match_args__
}


def trade_request(arguments: tuple[object, ...], fields: Mapping[str, object]) -> Struct:
    """Read a request given as one dict, or as keywords: never both."""
    if fields:
        if arguments:
            raise invalid_arguments("Unnamed arguments not allowed")
        return _request(fields)
    if len(arguments) != 1:
        raise invalid_arguments("Invalid number of arguments")
    if not isinstance(arguments[0], dict):
        raise invalid_arguments()
    return _request(arguments[0])


def text(name: str, value: object) -> str:
    """Read a symbol, group or comment."""
    if not isinstance(value, str) or _utf16_units(value) > LONGEST_TEXT:
        raise invalid_argument(name)
    return value


def whole(name: str, value: object) -> int:
    """Read a ticket, magic or code: unsigned, 64 bits."""
    if not isinstance(value, int) or not 0 <= value < _UNSIGNED_64:
        raise invalid_argument(name)
    return value


def number(value: object) -> float:
    """Read a number of the calculating functions, which take `int` as well."""
    if not isinstance(value, int | float):
        raise invalid_arguments()
    return float(value)


def exactly(count: int, arguments: tuple[object, ...]) -> tuple[Any, ...]:
    """Check how many arguments were given."""
    if len(arguments) != count:
        raise invalid_arguments()
    return arguments


def symbol_name(value: object) -> str:
    """Read the symbol of a function that has only positional arguments."""
    if not isinstance(value, str) or _utf16_units(value) > LONGEST_TEXT:
        raise invalid_arguments()
    return value


def epoch_seconds(value: object) -> int:
    """Read a date: a number, or a datetime, which is taken in the local zone when it is naive."""
    if isinstance(value, datetime):
        return int(value.timestamp())
    if not isinstance(value, int | float):
        raise invalid_arguments()
    return int(value)


def _request(fields: Mapping[str, object]) -> Struct:
    return TradeRequest(
        _field(name, kind, fields[name]) if name in fields else kind() for name, kind in _DEFAULTS.items()
    )


def _field(name: str, kind: type[int | float | str], value: object) -> int | float | str:
    if kind is str:
        return text(name, value)
    if kind is int:
        return whole(name, value)
    if not isinstance(value, float):
        raise invalid_argument(name)
    return value


def _utf16_units(value: str) -> int:
    return len(value.encode("utf-16-le", "surrogatepass")) // 2
