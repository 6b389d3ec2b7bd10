"""Finds the programs of RabbitMQ and PostgreSQL on this machine."""

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

RABBITMQ_PACKAGE = "rabbitmq-server"
POSTGRES_PACKAGE = "postgresql"
_ROOT = Path("/")
_SERVERS = ("usr/lib/rabbitmq/bin/rabbitmq-server", "opt/rabbitmq/sbin/rabbitmq-server")
_POSTGRES_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql/bin")


@dataclass(frozen=True)
class Binaries:
    """What was found: RabbitMQ's server script, the folder with ``initdb`` and ``postgres``; None if missing."""

    rabbitmq: Path | None
    postgres: Path | None

    @property
    def missing_packages(self) -> list[str]:
        """The Debian packages that bring what is missing."""
        found = {RABBITMQ_PACKAGE: self.rabbitmq, POSTGRES_PACKAGE: self.postgres}
        return [package for package, path in found.items() if path is None]


def find_binaries(root: Path = _ROOT) -> Binaries:
    """Look where the usual packages put their programs, then on the PATH (with the real root only).

    Private instances need Linux: elsewhere nothing counts as found.
    """
    if not sys.platform.startswith("linux"):
        return Binaries(None, None)
    return Binaries(_rabbitmq(root), _postgres(root))


def _rabbitmq(root: Path) -> Path | None:
    # Not /usr/sbin/rabbitmq-server of Debian: it changes to the system service's user and folder.
    places = [root / place for place in _SERVERS]
    places += root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
    return next((place for place in places if place.is_file()), None)


def _postgres(root: Path) -> Path | None:
    folders = [folder for pattern in _POSTGRES_FOLDERS for folder in root.glob(pattern)]
    folders.sort(key=_version, reverse=True)
    on_path = shutil.which("postgres") if root == _ROOT else None
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    return next((folder for folder in folders if _is_complete(folder)), None)


def _version(folder: Path) -> int:
    numbers = re.findall(r"\d+", str(folder.parent.name))
    return int(numbers[0]) if numbers else 0


def _is_complete(folder: Path) -> bool:
    return (folder / "initdb").is_file() and (folder / "postgres").is_file()
