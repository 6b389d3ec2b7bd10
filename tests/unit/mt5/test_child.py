"""The process of a session, where whoever began to use it cannot go on."""

from __future__ import annotations

import subprocess
import threading

import pytest

from worker.mt5 import wire
from worker.mt5.child import ChildProcess, NotDelivered


def test_who_stops_waiting_for_an_answer_leaves_none_behind_that_another_could_take_for_his_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given somebody at a prompt who presses Ctrl-C while he waits
    child = ChildProcess()

    class Interrupted:
        def get(self, **_limit: float) -> None:
            raise KeyboardInterrupt

        def put(self, _answers: object) -> None: ...

    monkeypatch.setattr(child, "_answers", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        child.call(wire.HEALTH.ask(None), 5)
    with pytest.raises(NotDelivered):
        child.call(wire.HEALTH.ask(None), 5)
    child.release()


def test_who_stops_writing_a_command_leaves_no_part_of_one_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given somebody at a prompt who presses Ctrl-C while he asks
    child = ChildProcess()
    written = child._pipe_in

    class Interrupted:
        def write(self, line: bytes) -> None:
            written.write(line[:10])
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ChildProcess, "_pipe_in", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            child.ask(wire.HEALTH.ask(None), 5)

    # Then the process has ended: the rest of that line is nobody else's command
    with pytest.raises(NotDelivered):
        child.call(wire.HEALTH.ask(None), 5)
    child.release()


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
