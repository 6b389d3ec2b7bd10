"""A file that is there when all of it is there, and never takes the place of another one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import typer


def check_is_new(path: Path) -> None:
    """Refuse a name that is taken, or in a folder that is not there, before any work is done for it."""
    if path.exists():
        raise typer.BadParameter(f"{path} exists already: nothing is replaced; choose another name")
    if not path.parent.is_dir():
        raise typer.BadParameter(f"{path.parent} is not a folder: make it first")


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file beside its place and name it when it is on disk; nothing is left of it when the block raises."""
    check_is_new(path)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(draft).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(draft).unlink()
        raise
