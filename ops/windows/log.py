"""One account's log: the present file, and those before it, compressed and counted."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LARGEST_BYTES = 20_000_000
KEPT = 60  # compressed files; log lines shrink to about a twentieth, so this is some 60 MB


class Log:
    """
    Appends lines to `worker.log` in a folder.

    A file that is full, or of an earlier day (UTC), is compressed beside it. A disk that is full, or a reader that on
    Windows keeps the file from being renamed, costs lines or a longer file, never the worker.
    """

    def __init__(self, folder: Path, largest: int = LARGEST_BYTES, kept: int = KEPT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path, self._largest, self._kept = folder / "worker.log", largest, kept
        self._lock = threading.Lock()  # the worker's lines and the supervisor's come from different threads

    def write(self, line: bytes) -> None:
        """Append a line that ends with a newline."""
        with self._lock, contextlib.suppress(OSError):
            self._make_room(len(line))
            with self._path.open("ab") as file:
                file.write(line)

    def tell(self, level: str, event: str, **facts: Any) -> None:
        """Append a line of the supervisor's own, in the worker's JSON."""
        told = facts | {"event": event, "level": level, "logger": "supervisor", "timestamp": _now().isoformat()}
        self.write(json.dumps(told).encode() + b"\n")

    def _make_room(self, size: int) -> None:
        if not self._path.exists():
            return
        state = self._path.stat()
        of_today = datetime.fromtimestamp(state.st_mtime, UTC).date() == _now().date()
        if state.st_size and (not of_today or state.st_size + size > self._largest):
            with contextlib.suppress(OSError):
                self._put_away()

    def _put_away(self) -> None:
        full = self._path.rename(self._path.with_name(f"worker-{_now():%Y%m%dT%H%M%S%f}Z.log"))
        full.with_suffix(".log.gz").write_bytes(gzip.compress(full.read_bytes()))
        full.unlink()
        for old in sorted(self._path.parent.glob("worker-*.log.gz"))[: -self._kept]:
            old.unlink()


def _now() -> datetime:
    return datetime.now(UTC)
