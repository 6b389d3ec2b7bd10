"""Turns what pydantic found wrong into sentences about the message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from schemas.refusals import DeadLetterReason, RefusedMessage, quoted

MAX_PROBLEMS_TOLD = 10

_PLAIN_WORD = re.compile("[A-Za-z0-9_]{1,40}")
_TELLS_WHAT_IT_FOUND = {"missing_part", "contradiction", "wrong_item"}
_EXPECTED = {
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "int_type": "must be a whole number",
    "model_type": "must be an object",
    "string_type": "must be a text",
}


class SchemaInvalid(RefusedMessage):
    """JSON, but not a message of the kind it should be."""

    def __init__(self, detail: str) -> None:
        super().__init__(DeadLetterReason.SCHEMA_INVALID, detail)


def schema_invalid(error: ValidationError) -> SchemaInvalid:
    """Name each field that is wrong, what was found there and what was expected; at most `MAX_PROBLEMS_TOLD`."""
    problems = error.errors(include_url=False, include_context=False)
    told = "; ".join(_sentence(_path(problem["loc"]), problem) for problem in problems[:MAX_PROBLEMS_TOLD])
    untold = len(problems) - MAX_PROBLEMS_TOLD
    return SchemaInvalid(f"{told}; and {untold} more" if untold > 0 else told)


def _path(steps: tuple[int | str, ...]) -> str:
    """Join the steps to the field; a name that was found in the message is quoted unless it is a plain word."""
    words = (step if _PLAIN_WORD.fullmatch(step) else quoted(step) for step in map(str, steps))
    return ".".join(words) or "the message"


def _sentence(path: str, problem: Mapping[str, Any]) -> str:
    kind = problem["type"]
    if kind == "missing":
        return f"{path} is missing"
    if kind in _TELLS_WHAT_IT_FOUND:
        return f"{path} {problem['msg']}"
    expected = _EXPECTED.get(kind) or problem["msg"].replace("Input should", "must")
    return f"{path} is {quoted(problem['input'])}, but {expected}"
