"""The parent's handle on one child process: a line out, lines back, each within a time limit."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
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
_CHUNK_BYTES = 65536
_EVERY_PIPE_TAKES = 4096  # bytes at once, though its reader is frozen; a longer line waits for the reader
_KILLED_WITHIN_SECONDS = 5.0
_END_OF_FILE: list[bytes] = []  # behind everything that the child has ever written


class NotDelivered(TerminalUnavailable):
    """The command did not reach the child process: it was certainly not executed."""


class Unanswered(TerminalUnavailable):
    """
    The command reached the child process, which ended without an answer: it may have been executed.

    `ended_at` (UTC) is when it had certainly ended: after that it hands nothing over. None when it would not end.
    `last_words` are answers that it had written before, and nobody has seen yet; `has_told_all` when it has ended and
    its pipe was read to the end, so that it certainly has written no other.
    """

    def __init__(
        self,
        what: str,
        ended_at: datetime | None = None,
        last_words: Sequence[bytes] = (),
        *,
        has_told_all: bool = False,
    ) -> None:
        super().__init__(what)
        self.ended_at = ended_at
        self.last_words = last_words
        self.has_told_all = has_told_all


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
        self._asked = ""  # the command that was sent last
        self._answers: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()  # None: no more is waited for
        self._reader = threading.Thread(target=self._read, name=f"terminal-answers-{self.pid}", daemon=True)
        self._start_reading()

    @property
    def pid(self) -> int:
        """Return the process number."""
        return self._process.pid

    @staticmethod
    def takes_at_once(line: bytes) -> bool:
        """Tell whether a line goes into the pipe without waiting, even when the child does not read it."""
        return len(line) <= _EVERY_PIPE_TAKES

    def call(self, line: bytes, timeout: float) -> bytes:
        """Send a line that holds one request and return its answer; both as `ask` and `answers`."""
        self.ask(line, timeout)
        return self.answers(timeout)[0]

    def ask(self, line: bytes, timeout: float) -> None:
        """Send a line, whose answers must all be awaited; raises NotDelivered."""
        self._asked = wire.name_of(line)
        failpoints.hit("pipe.ask.before", self._asked)
        try:
            with self._unblocked(line, timeout):
                self._pipe_in.write(line)
                self._pipe_in.flush()
        except (OSError, ValueError):
            raise NotDelivered("the terminal session's process has ended") from None
        except BaseException:  # Ctrl-C at a prompt: nobody will wait for what may have been asked
            self.kill("its command was given up")
            raise
        failpoints.hit("pipe.ask.after", self._asked)

    def answers(self, timeout: float) -> Sequence[bytes]:
        """
        Wait for the next answer and return it, with those that came together with it; raises Unanswered.

        A child that takes longer than `timeout` seconds is ended.
        """
        try:
            answers = self._answers.get(timeout=timeout)
        except queue.Empty:
            self.hung_over = self._asked
            self.kill(f"the terminal did not answer within {timeout:g} s; its process was ended")
            raise self._unanswered(*self._last_words()) from None
        except BaseException:  # Ctrl-C at a prompt: nobody may take the answer for his own that is still to come
            self.kill("nobody waited for its answer any more")
            raise
        if not answers:
            self.kill("the terminal session's process closed its pipe")
            raise self._unanswered([], answers)
        for _ in answers:
            failpoints.hit("pipe.answer.after", self._asked)
        return answers

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

    def _unanswered(self, last_words: list[bytes], end: list[bytes] | None) -> Unanswered:
        ended_at = None if self._process.poll() is None else datetime.now(UTC)
        has_told_all = ended_at is not None and end == _END_OF_FILE
        return Unanswered(self.epitaph(), ended_at, last_words, has_told_all=has_told_all)

    def _last_words(self) -> tuple[list[bytes], list[bytes] | None]:
        """Return what was answered and nobody has seen, and what came behind that."""
        words: list[bytes] = []
        with contextlib.suppress(queue.Empty):
            while answers := self._answers.get(timeout=_LAST_WORDS_SECONDS):
                words += answers
            return words, answers
        return words, None

    @contextlib.contextmanager
    def _unblocked(self, line: bytes, timeout: float) -> Iterator[None]:
        """End a child that does not read what is written to it: nothing else would ever end the writing."""
        if self.takes_at_once(line):
            yield
            return
        clock = threading.Timer(timeout, self.kill, ("it did not read its command",))
        clock.start()
        try:
            yield
        finally:
            clock.cancel()

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
        """Hand on what comes, all lines that are whole at a time; a line that was cut off is none."""
        pipe, parts = self._process.stdout, list[bytes]()
        try:
            while pipe is not None and (chunk := os.read(pipe.fileno(), _CHUNK_BYTES)):
                lines, end, rest = chunk.rpartition(b"\n")
                if end:
                    self._answers.put(b"".join([*parts, lines]).split(end))
                    parts.clear()
                parts.append(rest)
        except (OSError, ValueError):
            self._answers.put(None)
        else:
            self._answers.put(_END_OF_FILE)
