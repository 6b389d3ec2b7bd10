"""A parent that has fallen silent is frozen or hangs; its session ends, so that a standby can have the terminal."""

from __future__ import annotations

import os
import threading
import time
from typing import BinaryIO

from worker.mt5.wire import ENDED_BY_SILENCE


class Listener:
    """
    Waits for lines, for any time or for a limited one, after which it ends this process.

    A pipe cannot be waited for with a time limit on every system, therefore the thread. It ends nothing while a
    command is being executed, and a line that came too late is not returned.
    """

    def __init__(self, commands: BinaryIO) -> None:
        self._commands = commands
        self._gate = threading.Lock()
        self._limit: float | None = None
        self._waiting_since: float | None = None

    def line(self, limit: float | None) -> bytes:
        """Wait for the next line, at most `limit` seconds (None: any time), and return it; empty at the end."""
        self._begin(limit)
        line = self._commands.readline()
        with self._gate:  # the thread may just be ending the process: then that comes first
            self._end_if_late()  # the machine slept, and the line was quicker than the thread
            self._waiting_since = None
        return line

    def _begin(self, limit: float | None) -> None:
        with self._gate:
            self._waiting_since = time.monotonic()
            is_first, self._limit = self._limit is None, limit
        if is_first and limit is not None:
            threading.Thread(target=self._watch, args=(limit,), name="silence", daemon=True).start()

    def _watch(self, limit: float) -> None:
        while True:
            with self._gate:
                self._end_if_late()
                waited = self._waited()
            time.sleep(limit - waited)

    def _end_if_late(self) -> None:
        if self._limit is not None and self._waited() >= self._limit:
            os._exit(ENDED_BY_SILENCE)

    def _waited(self) -> float:
        return 0 if self._waiting_since is None else time.monotonic() - self._waiting_since
