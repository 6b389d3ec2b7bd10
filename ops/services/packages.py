"""Installs missing programs with apt on Debian and Ubuntu, without starting any system service."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from ops.services.errors import ServicesUnavailable

SCRIPT = Path(__file__).with_name("install.sh")
OS_RELEASE = Path("/etc/os-release")
_LINES_OF_OUTPUT_SHOWN = 15


def can_install() -> bool:
    """Tell whether apt may be used here: Debian or Ubuntu, root or sudo without a password, not forbidden."""
    return not os.environ.get("NO_INSTALL") and is_debian() and root_prefix() is not None


def is_debian(os_release: Path = OS_RELEASE) -> bool:
    """Tell whether this machine is Debian or descends from it, and has apt."""
    if shutil.which("apt-get") is None or not os_release.is_file():
        return False
    fields = dict(line.split("=", 1) for line in os_release.read_text().splitlines() if "=" in line)
    family = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', "").split()
    return bool({"debian", "ubuntu"} & set(family))


def root_prefix() -> list[str] | None:
    """Return what to put before a command to run it as root, or None when that is not possible unasked."""
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo is None:
        return None
    allowed = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False)  # noqa: S603 - fixed command
    return [sudo, "-n"] if allowed.returncode == 0 else None


def install(packages: Sequence[str], say: Callable[[str], None]) -> None:
    """Install Debian packages; say so first.

    Raises:
        ServicesUnavailable: apt failed; the text shows the end of its output.

    """
    prefix = root_prefix() or []
    say(f"Installing with apt, no system service is started: {' '.join(packages)} (NO_INSTALL=1 forbids this)")
    done = subprocess.run(  # noqa: S603 - our own script and package names from this module's callers
        [*prefix, "/bin/sh", str(SCRIPT), *packages],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-_LINES_OF_OUTPUT_SHOWN:])
        raise ServicesUnavailable(
            f"apt could not install {' '.join(packages)} (exit code {done.returncode}).\n{end}\n"
            "Install them by hand, or set TEST_AMQP_URL and TEST_POSTGRES_URL."
        )
