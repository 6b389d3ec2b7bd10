"""A command is at hand at once, because the others are not imported for it."""

from __future__ import annotations

import json
import subprocess
import sys

import typer

from worker.cli.app import app
from worker.cli.groups import MODULES

NEEDS = (
    "import json, sys; from worker.cli.app import app; import typer;"
    "typer.main.get_command(app).commands[sys.argv[1]];"
    "print(json.dumps([name for name in sys.modules if name.startswith('worker.cli.')]))"
)


def test_every_command_is_where_it_is_said_to_be() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]

    assert {name: command.name for name, command in commands.items()} == {name: name for name in MODULES}
    assert commands.get("sell") is None


def test_asking_for_a_command_imports_no_other() -> None:
    told = subprocess.run([sys.executable, "-c", NEEDS, "schema"], capture_output=True, check=True, timeout=60)

    imported = {name.split(".")[2] for name in json.loads(told.stdout)}

    assert imported & set(MODULES.values()) == {"schema"}
