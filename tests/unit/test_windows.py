"""The worker runs beside MetaTrader, which means on Windows: nothing may be imported there that only POSIX has."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHOUT_POSIX = """
    import asyncio, getpass, hypothesis, numpy, pika, psutil, psycopg, pytest, rich.console, subprocess, typer
    import importlib, os, pkgutil, signal, sys, types
    for name in ("SIGKILL", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGCHLD", "SIGALRM"):
        delattr(signal, name)
    for name in ("geteuid", "getuid", "setsid", "killpg", "fork", "getpgid", "WNOHANG"):
        delattr(os, name)
    for name in ("pwd", "grp", "fcntl", "resource", "termios", "tty", "pty", "syslog"):
        sys.modules[name] = None
    sys.modules["msvcrt"] = types.ModuleType("msvcrt")
    sys.platform = "win32"

    import worker
    names = [found.name for found in pkgutil.walk_packages(worker.__path__, "worker.")]
    for name in [*names, "tests.conftest", "tests.fixtures.services", "tests.conformance.conftest"]:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    print(len(names), "modules")
"""


def test_every_module_can_be_imported_where_there_is_no_posix() -> None:
    """What is called there is another matter: that only a Windows machine can show."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WITHOUT_POSIX)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("modules\n")
