"""A private PostgreSQL from local binaries."""

import os
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

from ops.services.answers import postgres_answers
from ops.services.places import HOST, free_port
from ops.services.private import PrivateService
from ops.services.tree import Command

# The first start makes the data folder. fsync stays on for the server: the tests rely on what it promises.
_START = """
test -s "$DATA/PG_VERSION" || "$BIN/initdb" --pgdata="$DATA" --username=postgres --pwfile="$PASSWORD_FILE" \
    --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync
exec "$BIN/postgres" -D "$DATA" -c listen_addresses="$HOST" -c port="$PORT" -c unix_socket_directories= \
    -c dynamic_shared_memory_type=mmap -c max_connections=200 -c logging_collector=off -c log_destination=stderr
"""


class PrivatePostgres(PrivateService):
    """PostgreSQL on 127.0.0.1 with a data folder of its own and a password nobody else knows."""

    name: ClassVar = "PostgreSQL"
    preferred_account: ClassVar = "postgres"
    # Immediate shutdown: unlike SIGKILL it frees the shared memory. Windows, where no service runs, lacks the signal.
    farewell: ClassVar = getattr(signal, "SIGQUIT", signal.SIGTERM)
    gentle: ClassVar = signal.SIGINT  # fast shutdown: connections are closed, a checkpoint is written
    seconds_to_stop: ClassVar = 30.0
    words_for_taken: ClassVar = ("Address already in use",)

    def __init__(self, binaries: Path) -> None:
        super().__init__()
        self._binaries = binaries
        self._port = 0

    @property
    def url(self) -> str:
        """URL of the database ``postgres`` as superuser."""
        return f"postgresql://postgres:{self.password}@{HOST}:{self._port}/postgres"

    def take_ports(self) -> None:
        """Choose the port; it is given on the command line."""
        self._port = free_port()
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o600)
        if self.user:
            os.chown(password_file, self.folder.stat().st_uid, -1)

    def command(self) -> Command:
        """Make the data folder unless it exists, then become the server."""
        environment = {
            "PATH": os.defpath,
            "LC_ALL": "C",
            "TZ": "UTC",
            "BIN": str(self._binaries),
            "DATA": str(self.folder / "data"),
            "PASSWORD_FILE": str(self.folder / "password"),
            "HOST": HOST,
            "PORT": str(self._port),
        }
        return Command(["/bin/sh", "-ec", _START], environment, self.user, str(self.folder))

    def answers(self) -> bool:
        """Tell whether it answers a query."""
        return postgres_answers(self.url)

    def kill(self) -> None:
        """End at once (SIGKILL), and free the shared memory that the server then cannot free itself."""
        super().kill()
        lines = self._postmaster_lines()
        if len(lines) > _SHARED_MEMORY_LINE and (ids := lines[_SHARED_MEMORY_LINE].split()):
            subprocess.run(["ipcrm", "-m", ids[-1]], capture_output=True, check=False)  # noqa: S603, S607 - fixed tool

    def _postmaster_lines(self) -> list[str]:
        file = self.folder / "data" / "postmaster.pid"
        return file.read_text().splitlines() if file.exists() else []


_SHARED_MEMORY_LINE = 6  # "key id", the seventh line of postmaster.pid
