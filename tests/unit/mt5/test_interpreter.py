"""A session's process must be the interpreter itself: its end is proof of something."""

from __future__ import annotations

import subprocess
import sys

from worker.mt5.interpreter import interpreter
from worker.settings import inherited_environment


def test_a_virtual_environment_on_windows_starts_the_real_interpreter() -> None:
    python = interpreter("win32", r"C:\desk\.venv\Scripts\python.exe", r"C:\Python311\python.exe")

    assert python.path == r"C:\Python311\python.exe"
    assert python.variables == {"__PYVENV_LAUNCHER__": r"C:\desk\.venv\Scripts\python.exe"}


def test_without_a_virtual_environment_there_is_nothing_to_go_around() -> None:
    assert interpreter("win32", r"C:\Python311\python.exe", r"C:\Python311\python.exe").variables == {}


def test_elsewhere_the_interpreter_is_what_it_seems_to_be() -> None:
    python = interpreter("linux", "/venv/bin/python", "/usr/bin/python3")

    assert python == ("/venv/bin/python", {})


def test_it_has_this_program_s_packages() -> None:
    python = interpreter()

    asked = subprocess.run(
        [python.path, "-c", "import sys; print(sys.prefix)"],
        env=inherited_environment(python.variables),
        capture_output=True,
        check=True,
        text=True,
        timeout=30,
    )

    assert asked.stdout.strip() == sys.prefix
