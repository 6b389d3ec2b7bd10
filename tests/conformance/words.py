"""What the simulated terminal can say in `last_error`, found in its code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from worker.mt5 import simulated

CODE = Path(simulated.__file__).parent
_SPEAKING = {"Failure", "invalid_arguments"}

NEVER_SAID = {
    "Unsupported authorization mode, OTP or certificate password needed": "the simulated account takes any password",
    "Terminal: Out of memory": "it has no memory of its own to run out of",
    "Terminal: Incompatible versions, please install the latest version of Terminal and Python module": "there is one",
    "Terminal: Unsupported function": "it has all functions",
    "IPC send failed": "a pipe breaks after the request has left or not at all: `.notsent` and `.lostreply`",
    "IPC timeout": "there is no program to wait for at the start",
}


def patterns() -> frozenset[str]:
    """Return a pattern for every text that a failure is made with."""
    trees = (ast.parse(path.read_text("utf-8")) for path in CODE.rglob("*.py"))
    return frozenset(pattern for tree in trees for text in _texts(tree) for pattern in [_pattern(text)] if pattern)


def _texts(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield what failures are made with: arguments of the calls that make them, and what those assume."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in _SPEAKING:
                yield from arguments
            case ast.FunctionDef(name=name, args=parameters) if name in _SPEAKING:
                yield from parameters.defaults


def _pattern(text: ast.expr) -> str:
    match text:
        case ast.Constant(value=str(words)):
            return re.escape(words)
        case ast.JoinedStr(values=parts):
            return "".join(_pattern(part) or ".+" for part in parts)
        case _:
            return ""
