"""Where private services live: a folder of their own, free ports, an account that is not root."""

import os
import random
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from ops.services.errors import ServicesUnavailable

HOST = "127.0.0.1"
PREFIX = "mt5-worker-"
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST_PORT = 15000
_PORT_TRIES = 200
# Not the seeded generator of `random`: test processes that share a seed would all draw the same ports.
_dice = random.SystemRandom()


def account(preferred: str) -> str | None:
    """Name the account a service runs under: None (our own) unless we are root, which servers should never be."""
    if os.geteuid() != 0:
        return None
    import pwd  # noqa: PLC0415 - Windows lacks it, and must be able to read this file

    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in (preferred, "nobody") if name in names), None)


def new_folder(service: str, user: str | None) -> Path:
    """Make an empty folder that belongs to that user and that it can reach, below the temporary folder.

    Raises:
        ServicesUnavailable: no temporary folder of this machine can be reached by that user.

    """
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108 - mkdtemp makes the name
        if user is None or reachable_for_all(Path(parent)):
            folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{service}-", dir=parent))
            if user is not None:
                shutil.chown(folder, user)
            return folder
    raise ServicesUnavailable(f"The user {user} cannot reach the temporary folder: set TMPDIR to one open to all.")


def reachable_for_all(folder: Path) -> bool:
    """Tell whether any user may pass through a folder and all its parents."""
    here = folder.resolve()
    return all(step.is_dir() and step.stat().st_mode & stat.S_IXOTH for step in (here, *here.parents))


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on.

    It lies below the range from which the system takes ports for outgoing connections, so that none of those can
    take it while a service restarts. Two callers may still get the same one: try again when the service fails.
    """
    highest = _first_ephemeral_port() - 1
    for _ in range(_PORT_TRIES):
        port = _dice.randint(_LOWEST_PORT, highest) if highest > _LOWEST_PORT else 0
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ServicesUnavailable(f"No free TCP port on {HOST} in {_PORT_TRIES} tries.")


def _first_ephemeral_port() -> int:
    try:
        return int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError):
        return 0
