"""Proving a backup: the file is what its manifest says, and what was restored from it is the ledger of that moment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.backup import manifest
from ops.backup.create import heads_in
from ops.backup.errors import BackupError
from ops.backup.manifest import Head, Manifest
from ops.backup.server import connected, of_database, where
from ops.backup.tools import run


def check_file(file: Path) -> Manifest:
    """Check the dump against its manifest and have pg_restore read its table of contents; raises BackupError."""
    described = manifest.read(file)
    contents = run("pg_restore", "--list", str(manifest.dump_of(file, described)))
    if " TABLE DATA ledger audit_events " not in contents:
        raise BackupError(f"{described.dump} holds no audit trail: it is no dump of a ledger; use another backup")
    return described


def check_database(url: str, database: str, described: Manifest) -> None:
    """
    Check that the database holds the ledger of the manifest: its schema, every chain, and each chain's end.

    `mt5-worker` itself does the first two, started as a program of its own. Raises BackupError.
    """
    restored = of_database(url, database)
    _worker(restored, "db", "check")
    with connected(restored) as connection:
        found = heads_in(connection)
    if found != list(described.heads):
        raise BackupError(
            f"{where(restored)} does not end where the backup ends: {_in_words(found)} instead of "
            f"{_in_words(described.heads)}. Has a worker run on it already? Otherwise do not use it."
        )
    _worker(restored, "audit", "verify")  # each chain, up to the end that its account's row names: that of the backup


def grant(url: str, database: str) -> None:
    """Bring the restored schema up to this program's version and give the roles their rights again."""
    _worker(of_database(url, database), "db", "migrate")


def _worker(url: str, *arguments: str) -> None:
    done = subprocess.run(  # noqa: S603 - the project's own program
        [sys.executable, "-P", "-m", "worker", *arguments],
        env={**os.environ, "POSTGRES_URL": url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = " / ".join((done.stdout + done.stderr).strip().splitlines())
        raise BackupError(f"`mt5-worker {' '.join(arguments)}` on {where(url)}: {words}")


def _in_words(heads: Sequence[Head]) -> str:
    return ", ".join(f"{head.account} at event {head.sequence}" for head in heads) or "no account"
