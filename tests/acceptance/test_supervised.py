"""
The worker as a Windows host runs it: settings from the account's folder, a supervisor, a file that asks for the stop.

The same supervisor, with SIGTERM in the place of Windows' Ctrl-Break.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ops.windows.supervisor import RECORD, STOP_FILE
from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.fixtures.rpm import approval
from tests.fixtures.worker_process import environment

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

WITHIN = 60.0  # seconds


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk() as desk:
        assert desk.worker.stop() == 0
        yield desk


@dataclass
class Host:
    """One account's folder and the supervisor that runs in it."""

    folder: Path
    supervisor: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        file = self.folder / "logs" / "worker.log"
        return file.read_text() if file.exists() else ""

    @property
    def worker(self) -> int:
        return int(json.loads((self.folder / RECORD).read_text())["worker"][0])

    def wait_for_lives(self, number: int) -> None:
        eventually(lambda: self.log.count('"worker_ready"') == number, f"not ready\n{self.log[-4000:]}", WITHIN)


@pytest.fixture
def host(desk: Desk, tmp_path: Path) -> Iterator[Host]:
    (tmp_path / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in desk.settings.items()))
    command = [sys.executable, "-P", "-m", "ops.windows.supervisor", str(tmp_path)]
    with subprocess.Popen(command, env=environment({}), cwd=tmp_path, start_new_session=True) as supervisor:
        found = Host(tmp_path, supervisor)
        found.wait_for_lives(1)
        yield found
        if supervisor.poll() is None:
            os.killpg(supervisor.pid, signal.SIGKILL)
            psutil.Process(found.worker).kill()


def test_a_killed_worker_is_back_and_a_stopped_one_finishes_what_is_open(desk: Desk, host: Host) -> None:
    before = desk.confirmed(approval())
    os.kill(host.worker, signal.SIGKILL)
    host.wait_for_lives(2)
    after = desk.confirmed(approval())
    assert (before["status"], after["status"]) == ("filled", "filled")

    open_trade = desk.publish(approval("EURUSD.slow"))
    eventually(lambda: desk.book.traded("EURUSD.slow"), "the order does not reach the broker")
    (host.folder / STOP_FILE).touch()

    assert host.supervisor.wait(WITHIN) == 0
    assert desk.confirmation(open_trade)["status"] == "filled"
    assert "worker_stopped" in host.log
    assert not (host.folder / RECORD).exists()
