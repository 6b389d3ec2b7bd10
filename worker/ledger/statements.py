"""
The SQL, by name.

Every statement lives in a file of `sql/`, in a block that starts with `-- name: <name>` and says in comments what the
statement is for. Keeping them out of the code lets a database administrator read them all in one place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_BLOCK = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(rb"%\((\w+)\)([sb])")


@dataclass(frozen=True, slots=True)
class Numbered:
    """A statement as PostgreSQL prepares it: with numbers for its parameters, and how each of them travels."""

    text: bytes
    parameters: tuple[str, ...]
    are_binary: tuple[bool, ...]


def sql(name: str) -> bytes:
    """Return a statement without its comments; raises KeyError for a name that no file holds."""
    return all_statements()[name]


@cache
def numbered(name: str) -> Numbered:
    """Return a statement with numbers for its parameters; raises KeyError for a name that no file holds."""
    text = sql(name)
    formats = {parameter.decode(): kind == b"b" for parameter, kind in _PLACE.findall(text)}
    numbers = {parameter: b"$%d" % number for number, parameter in enumerate(formats, start=1)}
    text = _PLACE.sub(lambda place: numbers[place[1].decode()], text)
    return Numbered(text.replace(b"%%", b"%"), tuple(formats), tuple(formats.values()))


@cache
def all_statements() -> dict[str, bytes]:
    """Return every statement of every file."""
    texts = [
        file.read_text("utf-8") for file in files(__package__).joinpath("sql").iterdir() if file.name[-4:] == ".sql"
    ]
    return {name: _without_comments(body) for text in texts for name, body in _BLOCK.findall(text)}


def _without_comments(text: str) -> bytes:
    lines = (line for line in text.splitlines() if not line.startswith("--"))
    return "\n".join(lines).strip().encode()
