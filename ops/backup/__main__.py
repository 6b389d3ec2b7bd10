"""
``python -m ops.backup create | verify | restore``: backups of the ledger that POSTGRES_URL names.

POSTGRES_URL comes from the environment or the folder's ``.env``; passwords may also stand in ``.pgpass``. PostgreSQL's
client programs (pg_dump, pg_restore) must be installed, in the server's version or a newer one.

Exit codes: 0 done, 1 failed or does not hold, 2 wrong usage, 3 PostgreSQL does not answer, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.backup import manifest
from ops.backup.check import check_database, check_file, grant
from ops.backup.create import create
from ops.backup.errors import BackupError
from ops.backup.manifest import Manifest
from ops.backup.restore import restore
from ops.backup.server import postgres_url

_INTERRUPTED = 130  # as a shell reports what Ctrl-C has ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code."""
    given = parser().parse_args(arguments)
    try:
        given.do(given)
    except BackupError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"not finished: {error.strerror}{f': {error.filename}' if error.filename else ''}\n")
        return BackupError.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: not finished\n")
        return _INTERRUPTED
    return 0


def _create(given: argparse.Namespace) -> None:
    dump = create(postgres_url(), given.folder)
    _say(f"backup made: {dump}")
    _tell(manifest.read(dump))


def _verify(given: argparse.Namespace) -> None:
    described = check_file(given.file)
    _say(f"{described.dump} is what its manifest says")
    if given.database is not None:
        check_database(postgres_url(), given.database, described)
        _say(f"database {given.database} holds exactly this ledger, and its audit trail verifies")
    _tell(described)


def _restore(given: argparse.Namespace) -> None:
    url, described = postgres_url(), check_file(given.file)
    restore(url, given.file.with_name(described.dump), given.database)
    grant(url, given.database)
    check_database(url, given.database, described)
    _say(f"restored into database {given.database}: it is exactly this ledger, and its audit trail verifies")
    _tell(described)
    _say("It is older than the broker: the worker halts on it until you resume. Read ops/runbooks/postgresql-down.md.")


def _tell(described: Manifest) -> None:
    _say(f"  taken at {described.taken_at} from {described.database}, PostgreSQL {described.server_version}")
    for head in described.heads:
        _say(f"  account {head.account}: audit trail ends at event {head.sequence}, {head.hash[:16]}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def parser() -> argparse.ArgumentParser:
    """Return what the command line may say."""
    whole = argparse.ArgumentParser(
        prog="python -m ops.backup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = whole.add_subparsers(metavar="COMMAND", required=True)
    create_ = commands.add_parser("create", help="write a dump and its manifest into a folder")
    create_.add_argument("folder", type=Path, help="where to; made if it does not exist")
    create_.set_defaults(do=_create)
    verify = commands.add_parser("verify", help="check a dump against its manifest, and a database against both")
    verify.add_argument("file", type=Path, help="the dump; its manifest lies beside it")
    verify.add_argument("--database", metavar="NAME", help="that it was restored into, and that no worker has used yet")
    verify.set_defaults(do=_verify)
    restore_ = commands.add_parser("restore", help="load a dump into an empty database and prove that it holds")
    restore_.add_argument("file", type=Path, help="the dump; its manifest lies beside it")
    restore_.add_argument("--database", metavar="NAME", required=True, help="made if it does not exist; must be empty")
    restore_.set_defaults(do=_restore)
    return whole


if __name__ == "__main__":
    sys.exit(main())
