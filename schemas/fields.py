"""The kinds of values that messages are made of: numbers, times, symbols, identities."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import GetPydanticSchema, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError, core_schema

from schemas.refusals import quoted

MAX_SYMBOL_UNITS = 29
"""MetaTrader refuses a symbol of 30 or more UTF-16 units."""

MAX_ORDER_ID_BYTES = 200
"""Leaves room in an AMQP short string (255 bytes), where the identity may travel as correlation id."""

_MUST_BE: Final = "must be {expected}"
_TIMESTAMP = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]"
    r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
    r"(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?$"
)
_TIMESTAMP_PATTERN = re.compile(_TIMESTAMP.replace("(Z|", "(?P<offset>Z|"))


def _wrong(expected: str) -> PydanticCustomError:
    return PydanticCustomError("wrong_value", _MUST_BE, {"expected": expected})


def _wrong_item(expected: str, key: object, item: object) -> PydanticCustomError:
    found = {"expected": expected, "key": quoted(key), "item": quoted(item)}
    return PydanticCustomError("wrong_item", "must be {expected}, but {key} is {item}", found)


def _as_number(value: object) -> Decimal | None:
    match value:
        case bool():
            return None
        case int():
            return Decimal(value)
        case Decimal() if value.is_finite():
            return value
        case _:
            return None


def _exact(expected: str, *, above: int | None = None, least: int | None = None) -> GetPydanticSchema:
    """
    Take what `_as_number` takes, within bounds, without a call of Python: most of a message are such numbers.

    `expected` is what a person reads where anything else was found.
    """
    gt, ge = (None if bound is None else Decimal(bound) for bound in (above, least))
    exact = core_schema.decimal_schema(strict=True, allow_inf_nan=False, gt=gt, ge=ge)
    whole = core_schema.no_info_after_validator_function(
        Decimal, core_schema.int_schema(strict=True, gt=above, ge=least)
    )
    number = core_schema.custom_error_schema(
        core_schema.union_schema([exact, whole], mode="left_to_right"),
        custom_error_type="wrong_value",
        custom_error_message=_MUST_BE,
        custom_error_context={"expected": expected},
    )
    return GetPydanticSchema(lambda _source, _handler: number)


def _number(value: object) -> Decimal:
    number = _as_number(value)
    if number is None:
        raise _wrong("a number")
    return number


def _direction(value: object) -> int:
    number = _as_number(value)
    if number is None or number.copy_abs() != 1:
        raise _wrong("1 (long) or -1 (short)")
    return int(number)


def _number_or_flag(value: object) -> Decimal | bool:
    return value if isinstance(value, bool) else _number(value)


def _number_or_numbers(value: object) -> Decimal | dict[str, Decimal]:
    return _numbers(value) if isinstance(value, dict) else _number(value)


def _numbers(value: object) -> dict[str, Decimal]:
    read: dict[str, Decimal] = {}
    for key, item in _members(value, "numbers"):
        number = _as_number(item)
        if number is None:
            raise _wrong_item("an object of numbers", key, item)
        read[key] = number
    return read


def _numbers_and_texts(value: object) -> dict[str, Decimal | str]:
    read: dict[str, Decimal | str] = {}
    for key, item in _members(value, "numbers and texts"):
        known = item if isinstance(item, str) else _as_number(item)
        if known is None:
            raise _wrong_item("an object of numbers and texts", key, item)
        read[key] = known
    return read


def _members(value: object, kind: str) -> list[tuple[str, object]]:
    if not isinstance(value, dict):
        raise _wrong(f"an object of {kind}")
    return list(value.items())


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong("a list of texts")
    return value


def _utc(value: object) -> datetime:
    if isinstance(value, str) and (read := _TIMESTAMP_PATTERN.fullmatch(value)):
        try:
            if read["offset"] is None:
                return datetime.fromisoformat(value + "+00:00")
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            pass  # a 30th of February, or a time that UTC would move out of the calendar
    raise _wrong('an ISO 8601 date and time such as "2026-03-02T09:30:00.000000"')


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime):
        return _utc(value)
    if value.tzinfo is None:
        raise _wrong("a time with its zone")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def is_symbol(value: object) -> bool:
    """Tell whether a value can name an instrument: 1 to 29 UTF-16 units, printable, no white space."""
    return (
        isinstance(value, str)
        and 0 < len(value.encode("utf-16-le", "surrogatepass")) <= 2 * MAX_SYMBOL_UNITS
        and value.isprintable()  # false for every kind of white space but the plain space
        and " " not in value
    )


def _symbol(value: object) -> str:
    if not is_symbol(value):
        raise _wrong(f"a symbol of 1 to {MAX_SYMBOL_UNITS} printable characters without spaces")
    return str(value)


def _order_id(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value.encode("utf-8", "replace")) <= MAX_ORDER_ID_BYTES:
        raise _wrong(f"null or a text of 1 to {MAX_ORDER_ID_BYTES} bytes")
    return value


_NUMBER = {"type": "number"}
_NUMBERS = {"type": "object", "additionalProperties": _NUMBER}

Number = Annotated[Decimal, _exact("a number"), WithJsonSchema(_NUMBER)]
PositiveNumber = Annotated[
    Decimal, _exact("a number greater than 0", above=0), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})
]
NonNegativeNumber = Annotated[
    Decimal, _exact("a number that is not negative", least=0), WithJsonSchema({"type": "number", "minimum": 0})
]
Direction = Annotated[Literal[1, -1], PlainValidator(_direction), WithJsonSchema({"enum": [1, -1]})]
NumberOrFlag = Annotated[
    Decimal | bool, PlainValidator(_number_or_flag), WithJsonSchema({"type": ["number", "boolean"]})
]
Numbers = Annotated[dict[str, Decimal], PlainValidator(_numbers), WithJsonSchema(_NUMBERS)]
NumberOrNumbers = Annotated[
    Decimal | dict[str, Decimal],
    PlainValidator(_number_or_numbers),
    WithJsonSchema({"anyOf": [_NUMBER, _NUMBERS]}),
]
NumbersAndTexts = Annotated[
    dict[str, Decimal | str],
    PlainValidator(_numbers_and_texts),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": ["number", "string"]}}),
]
Texts = Annotated[list[str], PlainValidator(_texts), WithJsonSchema({"type": "array", "items": {"type": "string"}})]
Symbol = Annotated[
    str,
    PlainValidator(_symbol),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_SYMBOL_UNITS,
            "pattern": r"^[^\s\x00-\x1f\x7f-\x9f]+$",
        }
    ),
]
OrderId = Annotated[
    str,
    PlainValidator(_order_id),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_ORDER_ID_BYTES}),
]
UtcTimestamp = Annotated[datetime, PlainValidator(_utc), WithJsonSchema({"type": "string", "pattern": _TIMESTAMP})]
"""As RPM writes it: text, and UTC when it says no offset. Digits beyond microseconds are cut."""

Moment = Annotated[datetime, PlainValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time of ours: a zone-aware datetime, or its text."""
