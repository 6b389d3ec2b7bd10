"""
What the package accepts as arguments; everything else is refused before anything leaves the process.

In requests whole numbers must be `int`, other numbers `float` (neither 1 nor a Decimal will do), texts at most 29
UTF-16 units. Unknown keys are ignored, missing ones are 0 or empty. The functions that take their arguments by
position only read them more leniently, as C functions do. Source of all rules: the code of the 5.0.6231 wheel, whose
`long` has 32 bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from operator import index
from typing import Any

from worker.mt5.simulated.package.failures import SUCCESS, Failure, invalid_argument, invalid_arguments
from worker.mt5.simulated.structs import Struct, TradeRequest

LONGEST_TEXT = 29  # UTF-16 units: the terminal's field has 32, its end included
LONGEST_GROUP = 1997
LONGEST_CREDENTIAL = 253
LONGEST_PATH = 257
_LONG = 1 << 31
_UNREPRESENTABLE = -_LONG  # what the processor makes of a float that does not fit
_PLACES = ("1st", "2nd", "3rd")
_Reader = Callable[[str, object], int | float | str]


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


def start(unnamed: tuple[object, ...], named: Mapping[str, object]) -> dict[str, Any]:
    """Read the arguments of `initialize`."""
    return _by_place(("path",), unnamed) | _by_name(_CREDENTIALS | {"path": _path}, named)


def credentials(unnamed: tuple[object, ...], named: Mapping[str, object]) -> dict[str, Any]:
    """Read the arguments of `login`, of which the first must not be missing or 0."""
    given = _by_place(("login", "password", "server"), unnamed) | _by_name(_CREDENTIALS, named)
    if not given.get("login"):
        raise invalid_argument("login")
    return given


def listing(unnamed: tuple[object, ...], named: Mapping[str, object]) -> str:
    """Read the group of `symbols_get`, where an empty one means all."""
    given = _by_place(("group",), unnamed) | _by_name({"group": group}, named)
    return given.get("group") or "*"


def group(name: str, value: object) -> str:
    """Read a list of masks."""
    return text(name, value, LONGEST_GROUP)


def text(name: str, value: object, longest: int = LONGEST_TEXT) -> str:
    """Read a named text of at most `longest` UTF-16 units."""
    if not isinstance(value, str) or _utf16_units(value) > longest:
        raise invalid_argument(name)
    return value


def whole(name: str, value: object, bits: int = 64) -> int:
    """Read a ticket, magic or code: unsigned. An `int` out of range leaves an OverflowError behind."""
    return _within(name, value, 0, 1 << bits)


def real(name: str, value: object) -> float:
    """Read a number of a request, which must be a `float`."""
    if not isinstance(value, float):
        raise invalid_argument(name)
    return value


def exactly(count: int, arguments: tuple[object, ...]) -> tuple[Any, ...]:
    """Check how many arguments were given."""
    if len(arguments) != count:
        raise invalid_arguments()
    return arguments


def parsed(units: str, arguments: tuple[object, ...]) -> tuple[Any, ...]:
    """
    Read positional arguments by the letters that C functions use, one an argument.

    `O` anything, `i` a signed 32-bit int, `k` the low 32 bits of any int, `d` anything that makes a float, `p` the
    truth of anything. A wrong count is refused; a wrong type or range also leaves its exception behind.
    """
    exactly(len(units), arguments)
    try:
        return tuple(_UNITS[unit](value) for unit, value in zip(units, arguments, strict=True))
    except (TypeError, OverflowError) as error:
        raise invalid_arguments(pending=error) from None


def symbol_name(value: object) -> str:
    """Read the symbol of a function that has only positional arguments."""
    if not isinstance(value, str) or _utf16_units(value) > LONGEST_TEXT:
        raise invalid_arguments()
    return value


def epoch_seconds(value: object) -> int:
    """
    Read a date: a number, or a datetime, which is taken in the local zone when it is naive.

    The package keeps whole seconds in 32 bits: from 19 January 2038 an `int` leaves an OverflowError behind, which it
    does not even notice, and a float or datetime turns into a date of 1901. Neither does it notice that a naive
    datetime at the very ends of the calendar has no timestamp.
    """
    if isinstance(value, datetime):
        return _truncated(_timestamp(value))
    if isinstance(value, float):
        return _truncated(value)
    if not isinstance(value, int):
        raise invalid_arguments()
    if not -_LONG <= value < _LONG:
        raise Failure(*SUCCESS, OverflowError("Python int too large to convert to C long"))
    return value


def _by_place(names: tuple[str, ...], values: tuple[object, ...]) -> dict[str, Any]:
    if len(values) > len(names):
        raise invalid_arguments("Invalid number of arguments")
    read = {}
    for place, name, value in zip(_PLACES, names, values, strict=False):
        try:
            read[name] = _SETTINGS[name](name, value)
        except Failure as refused:
            raise invalid_arguments(f"Invalid {place} unnamed argument", refused.pending) from None
    return read


def _by_name(readers: Mapping[str, _Reader], values: Mapping[str, object]) -> dict[str, Any]:
    return {name: read(name, values[name]) for name, read in readers.items() if name in values}


def _within(name: str, value: object, lowest: int, limit: int) -> int:
    if not isinstance(value, int):
        raise invalid_argument(name)
    if lowest <= value < limit:
        return value
    if value < lowest:
        raise invalid_argument(name, OverflowError("can't convert negative int to unsigned"))
    raise invalid_argument(name, OverflowError("int too big to convert"))


def _timestamp(moment: datetime) -> float:
    try:
        return moment.timestamp()
    except (ValueError, OverflowError, OSError) as error:  # which of them depends on the date and the system
        raise Failure(*SUCCESS, error) from None


def _truncated(seconds: float) -> int:
    fits = -_LONG - 1 < seconds < _LONG
    return int(seconds) if fits else _UNREPRESENTABLE


def _signed_32(value: object) -> int:
    whole_number = index(value)  # type: ignore[arg-type] # it raises the TypeError that the package leaves behind
    if not -_LONG <= whole_number < _LONG:
        raise OverflowError("Python int too large to convert to C long")
    return whole_number


def _low_32_bits(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"must be int, not {type(value).__name__}")
    return value & 0xFFFF_FFFF


def _as_float(value: object) -> float:
    return math.fsum((value,))  # type: ignore[arg-type] # unlike float() it takes no text; TypeError as above


_UNITS: dict[str, Callable[[object], object]] = {
    "O": lambda value: value,
    "i": _signed_32,
    "k": _low_32_bits,
    "d": _as_float,
    "p": bool,
}

_code: _Reader = partial(whole, bits=32)
_moment: _Reader = partial(_within, lowest=-(1 << 63), limit=1 << 63)
_credential: _Reader = partial(text, longest=LONGEST_CREDENTIAL)
_path: _Reader = partial(text, longest=LONGEST_PATH)
_CREDENTIALS: dict[str, _Reader] = {"login": whole, "server": _credential, "password": _credential, "timeout": _code}
_SETTINGS = _CREDENTIALS | {"path": _path, "group": group}
_READERS: dict[str, _Reader] = (
    dict.fromkeys(TradeRequest.__match_args__, whole)
    | dict.fromkeys(("symbol", "comment"), text)
    | dict.fromkeys(("volume", "price", "stoplimit", "sl", "tp"), real)
    | dict.fromkeys(("action", "type", "type_filling", "type_time"), _code)
    | {"expiration": _moment}
)
_BLANK = {name: {text: "", real: 0.0}.get(read, 0) for name, read in _READERS.items()}


def _request(fields: Mapping[str, object]) -> Struct:
    given = {name: read(name, fields[name]) for name, read in _READERS.items() if name in fields}
    return TradeRequest((_BLANK | given).values())


def _utf16_units(value: str) -> int:
    return len(value) if value.isascii() else len(value.encode("utf-16-le", "surrogatepass")) // 2
