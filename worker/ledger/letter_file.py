"""
Dead letters in a file: one JSON object a line, with everything that the ledger holds of it.

A file may have been changed by anybody on its way, so each line is checked for itself: only known fields, of the right
kind and no longer than the ledger's own can be, no deeper than 200 levels, in at most `MAX_LINE_BYTES`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, BinaryIO, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from worker.ledger.desk import LetterState
from worker.ledger.encoding import Row

FORMAT = "mt5-worker dead letter 1"

MAX_LINE_BYTES = 192 * 1024 * 1024
"""RabbitMQ takes bodies of at most 128 MiB, which base64 makes a third longer."""


def _from_base64(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64") from None


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is beyond the calendar") from None


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    json.dumps(value, allow_nan=False)  # PostgreSQL knows neither NaN nor infinity
    return value


_Body = Annotated[bytes, BeforeValidator(_from_base64)]
_Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
_Headers = Annotated[dict[str, Any], AfterValidator(_storable)]
_Name = Annotated[str, Field(max_length=600)]  # longer than AMQP's names, shorter than an index entry may be
_Sentence = Annotated[str, Field(max_length=64 * 1024)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class Envelope(_Strict):
    """A message but for its body."""

    exchange: _Name
    routing_key: _Name
    message_id: _Name | None
    correlation_id: _Name | None
    reply_to: _Name | None
    content_type: _Name | None
    content_encoding: _Name | None
    headers: _Headers
    redelivered: bool


class LetterInFile(_Strict):
    """One line."""

    format: Literal["mt5-worker dead letter 1"]
    letter_id: UUID
    source_queue: _Name
    account: _Name | None
    reason: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")]
    detail: _Sentence
    trade_id: _Name | None
    execution_id: UUID | None
    follows: UUID | None
    failed_at: _Moment
    content_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{0,64}$")]
    taken_in_at: _Moment
    taken_in_by: _Name
    state: LetterState
    state_by: _Sentence | None
    state_reason: _Sentence | None
    state_at: _Moment | None
    headers: _Headers
    envelope: Envelope
    body: _Body


def line_of(letter: Row) -> bytes:
    """Return the line of a letter."""
    values = {name: letter[name] for name in LetterInFile.model_fields if name != "format"}
    told = {"format": FORMAT, **values, "body": base64.b64encode(letter["body"]).decode()}
    return json.dumps(told, default=_plain, separators=(",", ":")).encode() + b"\n"


def letters_in(file: BinaryIO) -> Iterator[tuple[int, LetterInFile | str]]:
    """Yield each line's number with its letter, or with what is wrong with it. Empty lines are none."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        is_whole = line.endswith(b"\n") or len(line) < MAX_LINE_BYTES
        if not is_whole:
            _skip_to_the_end_of_the_line(file)
            yield number, f"is longer than {MAX_LINE_BYTES} bytes"
        elif line.strip():
            yield number, _letter(line)


def _letter(line: bytes) -> LetterInFile | str:
    try:
        return LetterInFile.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" if place else first["msg"]


def _skip_to_the_end_of_the_line(file: BinaryIO) -> None:
    while (part := file.readline(MAX_LINE_BYTES)) and not part.endswith(b"\n"):
        pass


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case UUID():
            return str(value)
    return float(value)  # a Decimal in somebody's headers
