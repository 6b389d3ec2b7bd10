"""A service run from local binaries: own folder, own ports, own processes, gone without a trace at its end."""

import secrets
import signal
from abc import ABC, abstractmethod
from typing import ClassVar

from ops.services.errors import ServiceFailed
from ops.services.keeper import wait_until
from ops.services.places import account, new_folder
from ops.services.tree import Command, Tree

_STARTS = 3
_READY_SECONDS = 60.0


class PrivateService(ABC):
    """RabbitMQ or PostgreSQL as a tree of processes that belongs to this program."""

    name: ClassVar[str]
    preferred_account: ClassVar[str]
    farewell: ClassVar[signal.Signals]
    gentle: ClassVar[signal.Signals]
    seconds_to_stop: ClassVar[float]
    # What its log says when somebody else has one of its ports.
    words_for_taken: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        self.user = account(self.preferred_account)
        self.folder = new_folder(self.preferred_account, self.user)
        self.password = secrets.token_hex(16)
        self.tree = Tree(self.folder, self.farewell)

    @property
    @abstractmethod
    def url(self) -> str:
        """Where a client finds the service, with its user and password."""

    @abstractmethod
    def take_ports(self) -> None:
        """Choose free ports and write them where the service will read them."""

    @abstractmethod
    def command(self) -> Command:
        """Return what starts the service on its folder and ports, the first time and every other time."""

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether the service is ready for its clients."""

    def start(self) -> None:
        """Start for the first time; should someone take a chosen port meanwhile, try others.

        Raises:
            ServiceFailed: it ended or did not answer; the text shows the end of its log.

        """
        for tries_left in reversed(range(_STARTS)):
            self.take_ports()
            try:
                return self.restart()
            except ServiceFailed:
                if tries_left == 0 or not self._lost_a_port():
                    self.end()
                    raise
                self.kill()
        return None

    def restart(self) -> None:
        """Stop if it runs, start again on the same port and data, and wait until it is ready."""
        self.stop()
        self.tree.start(self.command())
        self.wait_ready()

    def stop(self) -> None:
        """Shut down in order, as a maintenance does: clients are told; nothing to do when it does not run."""
        self.tree.resume()
        self.tree.signal_first(self.gentle)
        self.tree.wait_first(self.seconds_to_stop)
        self.tree.kill()

    def kill(self) -> None:
        """End at once (SIGKILL), as a power cut does: nobody is told."""
        self.tree.kill()

    def pause(self) -> None:
        """Fall silent with all connections open (SIGSTOP), as a hung machine does."""
        self.tree.pause()

    def resume(self) -> None:
        """Go on after a pause (SIGCONT)."""
        self.tree.resume()

    def wait_ready(self, seconds: float = _READY_SECONDS) -> None:
        """Wait until clients are served.

        Raises:
            ServiceFailed: the process ended, or that time passed; the text shows the end of the log.

        """
        in_time = wait_until(lambda: self.answers() or not self.tree.runs(), seconds)
        if not in_time:
            raise ServiceFailed(f"{self.name} did not answer within {seconds:.0f} s.", self.tree.last_lines())
        if not self.answers():
            raise ServiceFailed(f"{self.name} ended while it started.", self.tree.last_lines())

    def end(self) -> None:
        """End for good and remove the data."""
        self.tree.end()

    def _lost_a_port(self) -> bool:
        said = self.tree.everything_said()
        return any(word in said for word in self.words_for_taken)
