"""What is known of a `MetaTrader5` package: read from its wheel, or from a module at hand, ours or the real one."""

from __future__ import annotations

import ast
import inspect
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import FunctionType, ModuleType
from typing import Any

from tests.conformance import wheel
from tests.conformance.image import Image

_UNREADABLE = {"login": "x", "ticket": "x", "position": "x", "group": 0, "action": "x"}  # no function accepts all
_ERROR = re.compile(r"(Invalid (?!tuple|object)|Terminal: |IPC |No |Unnamed |Unsupported |Auto-Trading ).+")


class Takes(StrEnum):
    """What a C function takes: the METH_* flags in words."""

    NOTHING = "no arguments"
    PLACES = "arguments by position"
    NAMES = "arguments by position and name"


_BY_FLAGS = {4: Takes.NOTHING, 1: Takes.PLACES, 3: Takes.NAMES}


@dataclass(frozen=True)
class Function:
    """A function in C: what it takes, and how its own help says to call it."""

    takes: Takes
    usage: str


@dataclass(frozen=True)
class Facts:
    """A package's names with what belongs to each; `errors` are what `last_error` can say, known of a wheel only."""

    version: str
    author: str
    constants: Mapping[str, object]
    functions: Mapping[str, Function]
    helpers: Mapping[str, str]
    structs: Mapping[str, tuple[str, ...]]
    errors: frozenset[str] = frozenset()


def of_wheel(archive: zipfile.ZipFile) -> Facts:
    """Read a wheel without running anything of it."""
    tree = ast.parse(archive.read(wheel.CODE))
    image = Image(archive.read(wheel.CORE))
    names = _assigned(tree)
    return Facts(
        version=str(names["__version__"]),
        author=str(names["__author__"]),
        constants={name: value for name, value in names.items() if name.isupper()},
        functions={
            method.name: Function(_BY_FLAGS[method.flags], method.help.partition("\n")[0])
            for method in image.methods()
            if not method.name.startswith("_")  # `_asdict` belongs to the structures
        },
        helpers={node.name: f"({ast.unparse(node.args)})" for node in tree.body if isinstance(node, ast.FunctionDef)},
        structs={description.name: description.fields for description in image.descriptions()},
        errors=frozenset(text for text in image.texts() if _ERROR.fullmatch(text)),
    )


def of_module(module: ModuleType) -> Facts:
    """Read a module that can be imported. It must not be connected: every function is called once, unreadably."""
    names = vars(module)
    return Facts(
        version=names["__version__"],
        author=names["__author__"],
        constants={name: value for name, value in names.items() if name.isupper()},
        functions={
            name: Function(_taken(value), (value.__doc__ or "").partition("\n")[0])
            for name, value in names.items()
            if inspect.isbuiltin(value)
        },
        helpers={name: _signature(value) for name, value in names.items() if isinstance(value, FunctionType)},
        structs={
            name: tuple(vars(value)["__match_args__"])
            for name, value in names.items()
            if isinstance(value, type) and issubclass(value, tuple)
        },
    )


def _assigned(tree: ast.Module) -> dict[str, object]:
    """Return the names that are assigned a constant, or constants combined."""
    names = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                names[name] = _value(value)
    return names


def _value(node: ast.expr) -> Any:
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _value(left) | _value(right)
        case _:
            return ast.literal_eval(node)


def _taken(function: Callable[..., Any]) -> Takes:
    """Find out by Python's own refusals, which come before the function's."""
    if "takes no arguments" in _refusal(lambda: function(None)):
        return Takes.NOTHING
    if "takes no keyword arguments" in _refusal(lambda: function(**_UNREADABLE)):
        return Takes.PLACES
    return Takes.NAMES


def _refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except TypeError as error:
        return str(error)
    return ""


def _signature(function: FunctionType) -> str:
    signature = inspect.signature(function)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(inspect.Signature(bare))
