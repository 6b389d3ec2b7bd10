"""Which program to start so that its process is the interpreter itself, and not one that starts it."""

from __future__ import annotations

import sys
from typing import NamedTuple

_LAUNCHER = "__PYVENV_LAUNCHER__"  # read by CPython on Windows: which virtual environment it is to be in


class Interpreter(NamedTuple):
    """The path of a program and the variables that its environment needs besides the usual ones."""

    path: str
    variables: dict[str, str]


def interpreter(
    platform: str = sys.platform,
    shown: str = sys.executable,
    real: str = getattr(sys, "_base_executable", sys.executable),
) -> Interpreter:
    """
    Return this program's Python.

    On Windows, the python.exe of a virtual environment is a small program that starts the real one and waits for it:
    whoever ends it would learn of its end while the real one, which talks to the terminal, still ran. Python's own
    `multiprocessing` goes around it in the same way.
    """
    if platform != "win32" or real == shown:
        return Interpreter(shown, {})
    return Interpreter(real, {_LAUNCHER: shown})
