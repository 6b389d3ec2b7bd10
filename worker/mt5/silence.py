"""A parent that has fallen silent is frozen or hangs; its session ends, so that a standby can have the terminal."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType
from typing import BinaryIO, Self

from worker.mt5.watchdog import Watchdog
from worker.mt5.wire import ENDED_BY_SILENCE

_IDLE_SECONDS = 1.0  # without a command: then no call can hang, and the watchdog may rest


class Listener:
    """
    Waits for lines, for any time or for a limited one, after which it ends this process.

    A pipe cannot be waited for with a time limit on every system, therefore the thread. It ends nothing while a
    command is being executed, and a line that came too late is not returned. It lets the watchdog rest meanwhile.
    """

    def __init__(self, commands: BinaryIO, watchdog: Watchdog) -> None:
        self._commands, self._watchdog = commands, watchdog
        self._gate = threading.Lock()
        self._over = threading.Event()
        self._limit: float | None = None
        self._waiting_since: float | None = None
        self._thread = threading.Thread(target=self._watch, name="silence", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._watchdog.rest()

    def line(self, limit: float | None) -> bytes:
        """Wait for the next line, at most `limit` seconds (None: any time), and return it; empty at the end."""
        with self._gate:
            self._waiting_since, self._limit = time.monotonic(), limit
        line = self._commands.readline()
        with self._gate:  # the thread may just be ending the process: then that comes first
            self._end_if_late()  # the machine slept, and the line was quicker than the thread
            self._waiting_since = None
        return line

    def _watch(self) -> None:
        nap = _IDLE_SECONDS
        while not self._over.wait(nap):
            with self._gate:
                self._end_if_late()
                waited = self._waited()
                if waited >= _IDLE_SECONDS:
                    self._watchdog.rest()
                nap = _IDLE_SECONDS if self._limit is None else min(_IDLE_SECONDS, self._limit - waited)

    def _end_if_late(self) -> None:
        if self._limit is not None and self._waited() >= self._limit:
            os._exit(ENDED_BY_SILENCE)

    def _waited(self) -> float:
        return 0 if self._waiting_since is None else time.monotonic() - self._waiting_since
