"""Keeps a worker running as a service manager does: whatever ends it, it is started again."""

from __future__ import annotations

import threading
from signal import SIGKILL, SIGTERM

from tests.fixtures.worker_process import WorkerProcess

_CAUSED = {0, -SIGKILL, 3}  # by a stop, by a kill, by a service that was out of reach at the start
_REST_SECONDS = 0.3
_LIFE_SECONDS = 3600.0
_FAREWELL_SECONDS = 60.0


class Keeper:
    """Starts the worker again and again, in a thread of its own, until `stop`."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.codes: list[int] = []
        self._worker = worker
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Start it for the first time."""
        self._worker.start()
        self._thread.start()

    def stop(self) -> None:
        """Let it end in order, and start it no more."""
        with self._starting:
            self._stopping.set()
            self._worker.signal(SIGTERM)
        self._thread.join(_FAREWELL_SECONDS)

    @property
    def strange_codes(self) -> list[int]:
        """The exit codes that no fault explains."""
        return [code for code in self.codes if code not in _CAUSED]

    def _run(self) -> None:
        while True:
            self.codes.append(self._worker.wait(_LIFE_SECONDS))
            self._stopping.wait(_REST_SECONDS)
            with self._starting:
                if self._stopping.is_set():
                    return
                self._worker.start()
