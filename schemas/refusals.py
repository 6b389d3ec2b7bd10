"""
Why a message becomes a dead letter.

    RefusedMessage
     |-- MalformedJson           strict_json
     |-- MessageTooLarge         strict_json
     |-- SchemaInvalid           rpm_output
     |-- UnsupportedInstruction  rpm_output
     '-- UnsupportedVersion      rpm_output
"""

from __future__ import annotations

import json
from decimal import Decimal
from enum import StrEnum

MAX_QUOTED = 80


class DeadLetterReason(StrEnum):
    """The value of the header `failure-reason`."""

    MALFORMED_JSON = "malformed_json"
    SCHEMA_INVALID = "schema_invalid"
    UNSUPPORTED_INSTRUCTION = "unsupported_instruction"
    UNSUPPORTED_VERSION = "unsupported_version"
    IDENTITY_CONFLICT = "identity_conflict"
    ACCOUNT_MISMATCH = "account_mismatch"
    UNKNOWN_ACCOUNT = "unknown_account"
    MESSAGE_TOO_LARGE = "message_too_large"
    NETWORK_ERROR = "network_error"
    OUTCOME_UNKNOWN = "outcome_unknown"
    INTERNAL_ERROR = "internal_error"
    DELIVERY_LIMIT = "delivery_limit"
    EXPIRED = "expired"


class RefusedMessage(Exception):
    """A message that is not executed. `detail` is a sentence for the person who reads the dead letter."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def quoted(value: object) -> str:
    """Return what was found in a message, short enough for a sentence and free of control characters."""
    match value:
        case dict():
            return "an object"
        case list():
            return f"a list of {len(value)}"
        case Decimal():
            return shortened(str(value))
        case _:
            # Cut before the escaping as well, so that a megabyte of text costs nothing.
            short = value[: MAX_QUOTED + 1] if isinstance(value, str) else value
            return shortened(json.dumps(short, default=str))


def shortened(text: str) -> str:
    """Cut text to `MAX_QUOTED` characters, with a mark where it was cut."""
    return text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "..."
