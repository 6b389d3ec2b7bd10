"""The processes of one private service, seen from the program that owns them."""

import json
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ops.services import keeper
from ops.services.errors import ServiceFailed

_SECONDS_TO_END = 20.0
_LOG_LINES_SHOWN = 20
_LOG_COLUMNS_SHOWN = 500  # Erlang tells a failed start in one line of many thousand characters


@dataclass(frozen=True)
class Command:
    """One program to run: with which environment, as which user (None: as we are), in which folder."""

    argv: list[str]
    environment: dict[str, str]
    user: str | None
    cwd: str


class Tree:
    """Everything a service runs, ended and its folder removed at the latest when this program ends.

    ``farewell`` is the signal by which the service ends fast and leaves no trace.
    """

    def __init__(self, folder: Path, farewell: signal.Signals) -> None:
        self.folder = folder
        self.log = folder / "service.log"
        with self.log.open("ab") as log:
            self._keeper = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-I", keeper.__file__, str(folder), str(int(farewell))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd="/",
                start_new_session=True,  # Ctrl-C is for the owner, who may still need the services to end in order
            )
        self._first = 0

    @property
    def keeper_pid(self) -> int:
        """The process whose end is the end of the service."""
        return self._keeper.pid

    def start(self, command: Command) -> None:
        """Start the service.

        Raises:
            ServiceFailed: its program cannot be run.

        """
        answer = self._order({"start": asdict(command)})
        if "error" in answer:
            raise ServiceFailed(answer["error"], "")
        self._first = answer["pid"]

    def stay(self) -> None:
        """Let the service outlive this program; it ends when the keeper gets SIGTERM."""
        self._order({"stay": True})
        self._close()
        self._keeper.returncode = 0  # no longer ours to wait for

    def pids(self) -> list[int]:
        """Return the service's processes, parents first; empty when it does not run."""
        return keeper.family(self._keeper.pid)

    def runs(self) -> bool:
        """Tell whether the process that was started still lives."""
        return self._first in self.pids()

    def signal_first(self, number: signal.Signals) -> None:
        """Send a signal to the process that was started."""
        keeper.send([pid for pid in self.pids() if pid == self._first], number)

    def wait_first(self, seconds: float) -> bool:
        """Wait for the end of the process that was started; False when it still lives after that time."""
        return keeper.wait_until(lambda: not self.runs(), seconds)

    def pause(self) -> None:
        """Stop all processes in the middle of what they do (SIGSTOP), also those born while we look."""
        stopped: set[int] = set()
        while new := [pid for pid in self.pids() if pid not in stopped]:
            keeper.send(new, signal.SIGSTOP)
            stopped.update(new)

    def resume(self) -> None:
        """Let stopped processes go on (SIGCONT)."""
        keeper.send(self.pids(), signal.SIGCONT)

    def kill(self) -> None:
        """End all processes at once (SIGKILL) and wait until they are gone."""
        keeper.kill_family(self._keeper.pid)

    def end(self) -> None:
        """End the service for good and remove its folder."""
        self._close()
        self._keeper.wait(_SECONDS_TO_END)

    def last_lines(self) -> str:
        """Return the end of what the service said, long lines cut."""
        lines = self.everything_said().splitlines()[-_LOG_LINES_SHOWN:]
        return "\n".join(line[:_LOG_COLUMNS_SHOWN] for line in lines)

    def everything_said(self) -> str:
        """Return all that the service said since its folder was made."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _close(self) -> None:
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            if pipe is not None:
                pipe.close()

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        pipe_in, pipe_out = self._keeper.stdin, self._keeper.stdout
        if pipe_in is None or pipe_out is None or pipe_in.closed:
            raise ServiceFailed("The service has been ended for good.", "")
        pipe_in.write(json.dumps(order) + "\n")
        pipe_in.flush()
        answer: dict[str, Any] = json.loads(pipe_out.readline() or '{"error": "the keeper of the service has ended"}')
        return answer
