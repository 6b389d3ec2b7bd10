"""
The SQL, by name.

Every statement lives in a file of `sql/`, in a block that starts with `-- name: <name>` and says in comments what the
statement is for. Keeping them out of the code lets a database administrator read them all in one place.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_BLOCK = re.compile(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)


def sql(name: str) -> bytes:
    """Return a statement without its comments; raises KeyError for a name that no file holds."""
    return all_statements()[name]


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
