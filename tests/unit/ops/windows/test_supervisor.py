"""The supervisor keeps a worker running, and ends it in order. Here with stand-ins for the worker, on any system."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ops.windows import supervisor as module
from ops.windows.supervisor import RECORD, STOP_FILE, AlreadyRunning, Supervisor

WITHIN = 20.0  # seconds, on a busy machine
DILIGENT = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("drained", flush=True), sys.exit(0)))
print("ready", flush=True)
signal.pause()
"""
STUBBORN = DILIGENT.replace('lambda *_: (print("drained", flush=True), sys.exit(0))', "signal.SIG_IGN")
FAILS_TWICE = """
import pathlib, sys
lives = pathlib.Path("lives")
lives.write_text(lives.read_text() + "x" if lives.exists() else "x")
sys.exit(3 if len(lives.read_text()) < 3 else 2)
"""


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.02)


@pytest.fixture
def worker_ends() -> Iterator[list[int]]:
    pids: list[int] = []
    yield pids
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def supervisor_of(folder: Path, program: str) -> Supervisor:
    return Supervisor(folder, [sys.executable, "-c", program], first_pause=0.01)


def running(folder: Path, program: str) -> tuple[Supervisor, threading.Thread, list[int]]:
    codes: list[int] = []
    supervisor = supervisor_of(folder, program)
    thread = threading.Thread(target=lambda: codes.append(supervisor.run()))
    thread.start()
    wait_for(lambda: "ready" in logged(folder))
    return supervisor, thread, codes


def wait_for(true: Any) -> None:
    give_up_at = time.monotonic() + WITHIN
    while not true():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def logged(folder: Path) -> str:
    log = folder / "logs" / "worker.log"
    return log.read_text() if log.exists() else ""


def no_console(process: subprocess.Popen[bytes], number: int) -> None:
    if number != signal.SIGKILL:
        raise OSError("the handle is invalid")
    os.kill(process.pid, number)


def test_a_worker_that_fails_is_started_again_until_that_would_not_help(tmp_path: Path) -> None:
    assert supervisor_of(tmp_path, FAILS_TWICE).run() == 2

    assert (tmp_path / "lives").read_text() == "xxx"
    pauses = [json.loads(line)["in_seconds"] for line in logged(tmp_path).splitlines() if "in_seconds" in line]
    assert pauses == [0.01, 0.02]


def test_a_worker_that_ended_in_order_by_itself_is_left_at_that(tmp_path: Path) -> None:
    assert supervisor_of(tmp_path, "print('bye')").run() == 0
    assert "bye" in logged(tmp_path)


@pytest.mark.parametrize("way", ["file", "signal"])
def test_the_order_to_stop_lets_the_worker_drain(tmp_path: Path, way: str) -> None:
    supervisor, thread, codes = running(tmp_path, DILIGENT)

    if way == "file":
        (tmp_path / STOP_FILE).touch()
    else:
        supervisor.stop()
    thread.join(WITHIN)

    assert codes == [0]
    assert "drained" in logged(tmp_path)
    assert not (tmp_path / STOP_FILE).exists()
    assert not (tmp_path / RECORD).exists()


def test_a_worker_that_does_not_stop_in_time_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BESIDES_DRAINING", 0.05)
    (tmp_path / ".env").write_text("DRAIN_TIMEOUT_SECONDS='0.1'\n")
    supervisor, thread, codes = running(tmp_path, STUBBORN)

    supervisor.stop()
    thread.join(WITHIN)

    assert codes == [-signal.SIGKILL]
    assert "is killed" in logged(tmp_path)


def test_a_worker_that_no_order_reaches_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, thread, codes = running(tmp_path, DILIGENT)
    monkeypatch.setattr(subprocess.Popen, "send_signal", no_console)

    supervisor.stop()
    thread.join(WITHIN)

    assert codes == [-signal.SIGKILL]


def test_the_order_to_stop_ends_a_pause_too(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, [sys.executable, "-c", "raise SystemExit(3)"], first_pause=600)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    wait_for(lambda: "started again" in logged(tmp_path))

    (tmp_path / STOP_FILE).touch()
    thread.join(WITHIN)

    assert not thread.is_alive()
    assert logged(tmp_path).count("worker started") == 1


def test_an_old_order_to_stop_is_not_obeyed(tmp_path: Path) -> None:
    (tmp_path / STOP_FILE).touch()

    assert supervisor_of(tmp_path, FAILS_TWICE).run() == 2
    assert (tmp_path / "lives").read_text() == "xxx"


def test_an_account_has_one_supervisor(tmp_path: Path) -> None:
    supervisor, thread, _ = running(tmp_path, DILIGENT)

    with pytest.raises(AlreadyRunning):
        supervisor_of(tmp_path, DILIGENT).run()

    supervisor.stop()
    thread.join(WITHIN)


def test_a_worker_whose_supervisor_was_killed_is_ended_first(tmp_path: Path, worker_ends: list[int]) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as orphan:
        worker_ends.append(orphan.pid)
        gone = [orphan.pid, 1.0]  # a number that is used again, for a process that is another one
        left = {"supervisor": gone, "worker": [orphan.pid, psutil.Process(orphan.pid).create_time()]}
        (tmp_path / RECORD).write_text(json.dumps(left))

        assert supervisor_of(tmp_path, "print('next')").run() == 0

        assert not psutil.pid_exists(orphan.pid)
    assert "without a supervisor" in logged(tmp_path)


def test_a_record_that_was_cut_off_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text('{"supervisor": [1')

    assert supervisor_of(tmp_path, "print('next')").run() == 0


def test_the_real_worker_without_settings_tells_what_is_missing_and_is_not_started_again(tmp_path: Path) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    checkout = Path(module.__file__).parents[2]
    command = [sys.executable, "-m", "ops.windows.supervisor", str(tmp_path)]

    done = subprocess.run(command, env=environment, cwd=checkout, check=False, timeout=60)

    assert done.returncode == 2
    assert "MT5_BACKEND: is not set" in logged(tmp_path)
    assert logged(tmp_path).count("worker started") == 1
