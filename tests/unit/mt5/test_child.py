"""The process of a session, where not even a thread is to be had for it."""

from __future__ import annotations

import subprocess
import threading

import pytest

from worker.mt5.child import ChildProcess


def test_a_process_whose_answers_nobody_could_read_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, **named: object) -> None:
            super().__init__(*args, **named)  # type: ignore[call-overload]
            started.append(self)

    def no_thread(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(subprocess, "Popen", Noted)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(RuntimeError, match="new thread"):
        ChildProcess()
    assert [process.poll() is not None for process in started] == [True]
