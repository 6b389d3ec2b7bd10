"""The manifest beside each dump: what the dump must be, and where every account's audit chain ended in it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ops.backup.errors import BackupError, WrongUse

SUFFIX = ".json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Head:
    """The last event of an account's audit chain: its number and its hash. 0 = an account without events."""

    account: str
    sequence: int
    hash: str


@dataclass(frozen=True)
class Manifest:
    """What is known of a dump. `size` in bytes, `taken_at` in UTC: everything committed by then is in it."""

    dump: str  # the file's name, in the manifest's own folder
    sha256: str
    size: int
    taken_at: str
    database: str
    server_version: str
    migration: str  # the newest one that was applied
    heads: Sequence[Head]


def write(file: Path, manifest: Manifest) -> None:
    """Write it as a whole or not at all."""
    beside = file.with_name(f"{file.name}.partial")
    try:
        beside.write_text(json.dumps(asdict(manifest), indent=2) + "\n", "utf-8")
        settle(beside, file)
    finally:
        beside.unlink(missing_ok=True)


def read(dump: Path) -> Manifest:
    """Read the manifest of a dump (or the one named itself); raises WrongUse when there is none to be understood."""
    file = dump if dump.suffix == SUFFIX else dump.with_suffix(SUFFIX)
    try:
        told: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return Manifest(**{**told, "heads": [Head(**head) for head in told["heads"]]})
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}. A dump without its manifest is no backup.") from None
    except (ValueError, TypeError, KeyError):
        raise WrongUse(f"{file} is no manifest of a backup") from None


def dump_of(file: Path, manifest: Manifest) -> Path:
    """Return the dump, which lies beside its manifest; raises BackupError unless it is what the manifest says."""
    dump = file.with_name(Path(manifest.dump).name)
    try:
        size, digest = dump.stat().st_size, sha256_of(dump)
    except OSError as error:
        raise BackupError(f"{dump} cannot be read: {error.strerror}") from None
    if (size, digest) != (manifest.size, manifest.sha256):
        raise BackupError(
            f"{dump} is not what its manifest says ({size} bytes, sha256 {digest[:12]}, instead of {manifest.size} "
            f"bytes, {manifest.sha256[:12]}): it was changed or damaged; use another backup"
        )
    return dump


def sha256_of(file: Path) -> str:
    """Return a file's digest in hex."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def settle(beside: Path, file: Path) -> None:
    """Bring a finished file to the disk, then under its name: whoever finds the name finds the whole file."""
    with beside.open("r+b") as content:
        os.fsync(content.fileno())
    beside.rename(file)
    if sys.platform != "win32":  # Windows has no way to do this, and needs none
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
