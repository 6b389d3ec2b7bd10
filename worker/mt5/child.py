"""The parent's handle on one child process: a line out, a line back, within a time limit."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import worker
from worker import failpoints
from worker.domain.errors import TerminalUnavailable
from worker.mt5 import wire
from worker.mt5.interpreter import interpreter
from worker.settings import inherited_environment

_CODE = Path(worker.__file__).parent.parent  # the child finds this very package, wherever the parent was started
_POSIX = sys.platform != "win32"
_LAST_WORDS_SECONDS = 1.0
_KILLED_WITHIN_SECONDS = 5.0


class NotDelivered(TerminalUnavailable):
    """The command did not reach the child process: it was certainly not executed."""


class Unanswered(TerminalUnavailable):
    """
    The command reached the child process, which ended without an answer: it may have been executed.

    `ended_at` (UTC) is when it had certainly ended: after that it hands nothing over. None when it would not end.
    """

    def __init__(self, what: str, ended_at: datetime | None = None) -> None:
        super().__init__(what)
        self.ended_at = ended_at


class ChildProcess:
    """
    One spawned process. Commands go strictly in turn, which the caller's lock must ensure.

    It has a process group of its own, so that Ctrl-C in a console reaches the parent alone.
    """

    def __init__(self) -> None:
        python = interpreter()
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, nothing from outside
            [python.path, "-m", "worker.mt5.session_process"],
            env=inherited_environment(python.variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_CODE,
            process_group=0 if _POSIX else None,
            creationflags=0 if _POSIX else 0x00000200,  # CREATE_NEW_PROCESS_GROUP
        )
        self.hung_over: str | None = None  # the command over which its terminal took too long, so that it was ended
        self._why_killed: str | None = None
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name=f"terminal-answers-{self.pid}", daemon=True)
        self._start_reading()

    @property
    def pid(self) -> int:
        """Return the process number."""
        return self._process.pid

    def call(self, line: bytes, timeout: float) -> bytes:
        """Send a line and return the answer; a child that takes longer than `timeout` seconds is ended."""
        command = wire.name_of(line)
        failpoints.hit("pipe.ask.before", command)
        try:
            self._pipe_in.write(line)
            self._pipe_in.flush()
        except (OSError, ValueError):
            raise NotDelivered("the terminal session's process has ended") from None
        failpoints.hit("pipe.ask.after", command)
        try:
            answer = self._answers.get(timeout=timeout)
        except queue.Empty:
            self.hung_over = command
            self.kill(f"the terminal did not answer within {timeout:g} s; its process was ended")
            raise Unanswered(self.epitaph(), self._certainly_ended()) from None
        if answer is None:
            self.kill("the terminal session's process closed its pipe")
            raise Unanswered(self.epitaph(), self._certainly_ended())
        failpoints.hit("pipe.answer.after", command)
        return answer

    def wait(self) -> None:
        """Wait for its end, however that comes."""
        self._process.wait()
        self._reader.join(_LAST_WORDS_SECONDS)
        # A terminal that the child started may hold the other end of the pipe open: then no end of file ever comes.
        self._answers.put(None)

    def end(self, patience: float) -> None:
        """Close its pipe, so that it finishes what it does and ends; kill it after `patience` seconds."""
        with contextlib.suppress(OSError):
            self._pipe_in.close()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill(f"it had not finished within {patience:g} s and was ended")

    def epitaph(self) -> str:
        """Tell why it has ended."""
        if self._process.returncode == wire.ENDED_BY_SILENCE:
            return (
                "the terminal session's process heard nothing for too long and ended: it took this process for frozen"
            )
        return self._why_killed or f"the terminal session's process ended (code {self._process.returncode})"

    def kill(self, why: str) -> None:
        """End it at once, unless it has ended, and wait until then: its file lock is free after that."""
        if self._process.poll() is None:
            self._why_killed = why
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILLED_WITHIN_SECONDS)

    def release(self) -> None:
        """Close what is left of the pipes after its end."""
        with contextlib.suppress(OSError):
            self._pipe_in.close()
        self._reader.join(_LAST_WORDS_SECONDS)
        # A reader that still waits holds the pipe: closing it would wait with it.
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()

    def _certainly_ended(self) -> datetime | None:
        return None if self._process.poll() is None else datetime.now(UTC)

    def _start_reading(self) -> None:
        try:
            self._reader.start()
        except RuntimeError:  # no thread to be had
            with self._process:  # closes its pipes and waits for its end
                self._process.kill()
            raise

    @property
    def _pipe_in(self) -> IO[bytes]:
        if self._process.stdin is None:
            raise ValueError("the child was started without a pipe")
        return self._process.stdin

    def _read(self) -> None:
        pipe = self._process.stdout
        with contextlib.suppress(OSError, ValueError):
            while pipe is not None and (line := pipe.readline()).endswith(b"\n"):
                self._answers.put(line)
        self._answers.put(None)
