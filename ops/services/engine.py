"""Services in containers: what an engine must offer, and how a container is handled like any other service."""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ops.services.errors import ServiceFailed
from ops.services.keeper import wait_until
from ops.services.service import Services

_ANSWER_SECONDS = 5.0
_READY_SECONDS = 90.0


class Engine(Protocol):
    """A tool that runs RabbitMQ and PostgreSQL in containers."""

    def answers(self) -> bool:
        """Tell whether the tool and the Docker engine behind it are there."""

    def open(self) -> Services:
        """Start both services; the caller ends them.

        Raises:
            ServiceFailed: the images or the services could not be started.

        """


@dataclass(frozen=True)
class ContainerService:
    """One service in a container; ``tell`` takes Docker's own words: stop, kill, pause, unpause, restart."""

    name: str
    url: str
    ready: Callable[[str], bool]
    tell: Callable[[str], object]
    log: Callable[[], str]
    remove: Callable[[], object]
    management_url: str | None = None

    def stop(self) -> None:
        """Shut down in order."""
        self.tell("stop")

    def kill(self) -> None:
        """End at once."""
        self.tell("kill")

    def pause(self) -> None:
        """Freeze all its processes."""
        self.tell("pause")

    def resume(self) -> None:
        """Let them go on."""
        self.tell("unpause")

    def restart(self) -> None:
        """Stop if it runs, start again on the same port and data, and wait until it is ready."""
        self.tell("restart")
        self.wait_ready()

    def answers(self) -> bool:
        """Tell whether it is ready for its clients."""
        return self.ready(self.url)

    def wait_ready(self) -> None:
        """Wait until clients are served.

        Raises:
            ServiceFailed: they are not; the text shows the end of the container's log.

        """
        if not wait_until(self.answers, _READY_SECONDS):
            raise ServiceFailed(f"{self.name} did not answer within {_READY_SECONDS:.0f} s.", self.log())

    def end(self) -> None:
        """Remove the container and its data."""
        self.remove()


def docker(
    *arguments: str, seconds: float, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a docker command without input and keep what it says."""
    command: Sequence[str] = (shutil.which("docker") or "docker", *arguments)
    return subprocess.run(  # noqa: S603 - commands of this package
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
        env=environment,
        check=False,
    )


def docker_answers(*arguments: str) -> bool:
    """Tell whether a docker command succeeds within a short time."""
    try:
        return docker(*arguments, seconds=_ANSWER_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def engine_answers() -> bool:
    """Tell whether there is a Docker engine; the client's own version would not prove it."""
    return docker_answers("version", "--format", "{{.Server.Version}}")
