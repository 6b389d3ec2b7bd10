"""
Keeps the worker of one account running: `python -m ops.windows.supervisor FOLDER`.

The account's scheduled task starts it with the account's folder, in which the worker runs and reads its `.env`. It
starts the worker again when that has ended, with growing pauses, writes its log, and ends it in order when a file named
`stop` appears in the folder, or on a signal.

On Windows the order to stop is CTRL_BREAK, the only console event that can be sent to one group of processes; it needs
a console that supervisor and worker share. That event and the flag of the group are all that is different on Windows,
and all that has not been run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import psutil
from dotenv import dotenv_values

from ops.windows.log import Log

STOP_FILE, RECORD = "stop", "running.json"
_POSIX = sys.platform != "win32"
_ORDER_TO_STOP = signal.SIGTERM if _POSIX else 1  # CTRL_BREAK_EVENT
_LOOK_SECONDS = 0.5
_LAST_WORDS_SECONDS = 2.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds before the worker is started again
_SOUND_AFTER = 300.0  # seconds; after a life as long as this the pauses begin anew
_DRAIN_SECONDS = 20.0  # DRAIN_TIMEOUT_SECONDS where the settings file has none
_BESIDES_DRAINING = 45.0  # seconds a worker may take besides: a call to the terminal, the outbox, the hand-over
_GONE_WITHIN = 10.0  # seconds after a kill
_ENDED_AS_ASKED, _WRONG_CONFIGURATION = 0, 2  # exit codes of the worker after which starting it again would not help

Identity = tuple[int, float]  # a process's number and when it was created: numbers are used again


class AlreadyRunning(Exception):
    """Another supervisor looks after this account."""


class Supervisor:
    """Runs a command in a folder, again and again, until it is told to stop."""

    def __init__(self, folder: Path, command: Sequence[str], first_pause: float = _FIRST_PAUSE) -> None:
        self._folder, self._command = folder, list(command)
        self._first_pause = self._pause = first_pause
        self._stop_wanted = False  # no event: a signal's handler must not wait for a lock
        self._log = Log(folder / "logs")

    def stop(self) -> None:
        """End the worker in order, then `run`."""
        self._stop_wanted = True

    def run(self) -> int:
        """Keep the worker running; returns the exit code of its last life. Raises AlreadyRunning."""
        self._take_over()
        self._stop_file.unlink(missing_ok=True)  # it was for whoever ran when it was written
        try:
            code = self._live_once()
            while code not in {_ENDED_AS_ASKED, _WRONG_CONFIGURATION} and self._rested_after(code):
                code = self._live_once()
            self._log.tell("info", "supervisor ends", exit_code=code)
            return code
        finally:
            self._record.unlink(missing_ok=True)
            self._stop_file.unlink(missing_ok=True)

    @property
    def _stop_file(self) -> Path:
        return self._folder / STOP_FILE

    @property
    def _record(self) -> Path:
        return self._folder / RECORD

    def _is_to_stop(self) -> bool:
        return self._stop_wanted or self._stop_file.exists()

    def _live_once(self) -> int:
        began, worker = time.monotonic(), self._start()
        writer = threading.Thread(target=self._write_log, args=(worker,), daemon=True)
        writer.start()
        while (code := _exit_code(worker, _LOOK_SECONDS)) is None and not self._is_to_stop():
            pass
        if code is None:
            code = self._end(worker)
        if time.monotonic() - began > _SOUND_AFTER:
            self._pause = self._first_pause
        writer.join(_LAST_WORDS_SECONDS)  # no longer: a terminal that the worker has started may hold the pipe open
        return code

    def _start(self) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(  # noqa: S603 - the command is this module's own
            self._command,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0 if _POSIX else None,
            creationflags=0 if _POSIX else 0x00000200,  # CREATE_NEW_PROCESS_GROUP
        )
        with contextlib.suppress(OSError, psutil.NoSuchProcess):  # a full disk, a worker that has ended already
            people = {"supervisor": _identity(psutil.Process()), "worker": _identity(psutil.Process(worker.pid))}
            self._record.write_text(json.dumps(people))
        self._log.tell("info", "worker started", pid=worker.pid)
        return worker

    def _end(self, worker: subprocess.Popen[bytes]) -> int:
        """Have it finish what is open. One that does not is killed, after which recovery finds out what happened."""
        patience = _drain_seconds(self._folder / ".env") + _BESIDES_DRAINING
        self._log.tell("info", "worker is asked to stop", patience_seconds=patience)
        try:
            worker.send_signal(_ORDER_TO_STOP)
            return worker.wait(patience)
        except (OSError, subprocess.TimeoutExpired) as error:  # OSError: there is no console that both share
            self._log.tell("error", "worker did not stop and is killed", why=str(error))
            worker.kill()
            return worker.wait()

    def _rested_after(self, code: int) -> bool:
        """Pause, twice as long as the last time; False when nothing is to be started afterwards."""
        if not self._is_to_stop():
            self._log.tell("warning", "worker ended, it is started again", exit_code=code, in_seconds=self._pause)
        wake_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        while (left := wake_at - time.monotonic()) > 0 and not self._is_to_stop():
            time.sleep(min(left, _LOOK_SECONDS))
        return not self._is_to_stop()

    def _write_log(self, worker: subprocess.Popen[bytes]) -> None:
        if worker.stdout is not None:
            with worker.stdout as lines:
                for line in lines:
                    self._log.write(line)

    def _take_over(self) -> None:
        """Insist on being alone, and end a worker whose supervisor was killed: nobody could stop it any more."""
        try:
            left = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return
        if _alive(left["supervisor"]):
            raise AlreadyRunning(f"process {left['supervisor'][0]} looks after {self._folder} already")
        orphan = _alive(left["worker"])
        if orphan is not None:
            self._log.tell("warning", "worker without a supervisor is killed", pid=orphan.pid)
            with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                orphan.kill()
                orphan.wait(_GONE_WITHIN)


def _exit_code(process: subprocess.Popen[bytes], within: float) -> int | None:
    try:
        return process.wait(within)
    except subprocess.TimeoutExpired:
        return None


def _identity(process: psutil.Process) -> Identity:
    return process.pid, process.create_time()


def _alive(identity: Identity) -> psutil.Process | None:
    number, created = identity
    try:
        process = psutil.Process(number)
        return process if abs(process.create_time() - created) < 1 and process.is_running() else None
    except psutil.NoSuchProcess:
        return None


def _drain_seconds(settings: Path) -> float:
    try:
        return float(dotenv_values(settings).get("DRAIN_TIMEOUT_SECONDS") or _DRAIN_SECONDS)
    except ValueError:
        return _DRAIN_SECONDS  # such a worker has never started


def main() -> int:
    """Supervise the worker of the folder that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m ops.windows.supervisor", description="Keep a worker running.")
    parser.add_argument("folder", type=Path, help="the account's folder, with its .env")
    supervisor = Supervisor(parser.parse_args().folder.resolve(), [sys.executable, "-P", "-m", "worker", "run"])

    def handle(_number: int, _frame: FrameType | None) -> None:
        supervisor.stop()

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handle)
    try:
        return supervisor.run()
    except AlreadyRunning as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
