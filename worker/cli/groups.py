"""The commands and their modules: only what was asked for is imported, so that an answer comes at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import typer

# In the order in which the help lists them.
MODULES = {
    "run": "run",
    "demo": "demo",
    "publish": "publish",
    "confirmations": "confirmations",
    "status": "status",
    "halt": "halt",
    "resume": "halt",
    "executions": "executions",
    "dlq": "dlq",
    "audit": "audit",
    "instruments": "instruments",
    "topology": "topology",
    "schema": "schema",
    "db": "database",
    "doctor": "doctor",
    "services": "services",
}


class ImportedWhenAsked(Mapping[str, Any]):
    """The commands by name."""

    def __getitem__(self, name: str) -> Any:
        """Return the command, or the group of commands, of this name; raises KeyError for one that there is not."""
        return _imported(name)

    def __iter__(self) -> Iterator[str]:
        """Name them all; nothing is imported for that."""
        return iter(MODULES)

    def __len__(self) -> int:
        """Count them."""
        return len(MODULES)


@cache
def _imported(name: str) -> Any:
    group = typer.main.get_group(import_module(f"worker.cli.{MODULES[name]}").app)
    _unfold(group)
    return group.commands.get(name, group)


def _unfold(command: Any) -> None:
    """Leave it to the terminal where a help text's lines end: typer would end them where the source's lines do."""
    if command.help:
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in command.help.split("\n\n"))
    for one in getattr(command, "commands", {}).values():
        _unfold(one)
