"""PostgreSQL's own programs: found, started with the address in their environment, and listened to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ops.backup.errors import BackupError, WrongUse
from ops.backup.server import as_environment

_FOLDERS = {  # where installers put them when they are not on the PATH
    "win32": ("C:/Program Files/PostgreSQL", "*/bin"),
    "linux": ("/usr/lib/postgresql", "*/bin"),
}
_SHOWN = 5  # lines of what a program that failed has said


def run(program: str, *arguments: str, url: str | None = None) -> str:
    """Run one of PostgreSQL's programs to its end and return what it printed; raises BackupError with its words."""
    environment = {**os.environ, "LC_MESSAGES": "C", **(as_environment(url) if url else {})}
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program, arguments of ours
        [find(program), *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        errors = [line for line in said if re.search("error|detail", line.lower())] or said  # not quoted statements
        raise BackupError(f"{program} failed: {' / '.join(errors[:_SHOWN]) or f'exit code {done.returncode}'}")
    return done.stdout.decode("utf-8", "replace")


def find(program: str) -> str:
    """Return the program's path, of the newest version where several are installed; raises WrongUse."""
    on_path = shutil.which(program)
    found = [on_path] if on_path else [str(path) for folder in _folders() if (path := _in(folder, program))]
    if not found:
        raise WrongUse(
            f"{program} is not installed here: install PostgreSQL's client programs (Debian: postgresql-client), of "
            "the server's version or a newer one, or put them on the PATH"
        )
    return found[0]


def _folders() -> Iterator[Path]:
    root, pattern = _FOLDERS.get(sys.platform, _FOLDERS["linux"])
    yield from sorted(Path(root).glob(pattern), key=_version, reverse=True)


def _in(folder: Path, program: str) -> str | None:
    return shutil.which(program, path=str(folder))


def _version(folder: Path) -> int:
    numbers = re.findall(r"\d+", folder.parent.name)
    return int(numbers[0]) if numbers else 0
