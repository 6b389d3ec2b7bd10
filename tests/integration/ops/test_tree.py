"""The processes of a service: none escapes, none outlives its owner."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.services.errors import ServiceFailed
from ops.services.keeper import wait_until
from ops.services.tree import Command, Tree

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="private instances need Linux")

# A service like Erlang's: its server, a child of that, and a daemon that has left both.
SERVICE = """
sleep 300 &
setsid sh -c 'sleep 300 & exec sleep 300' &
echo started
wait
"""
# An owner that says where its service lives, and then does nothing until it is ended.
OWNER = """
import signal, sys
from pathlib import Path
from tests.integration.ops.test_tree import service
from ops.services.tree import Tree

tree = Tree(Path(sys.argv[1]), signal.SIGTERM)
tree.start(service(Path(sys.argv[1])))
if "stay" in sys.argv:
    tree.stay()
print(tree.keeper_pid, flush=True)
signal.pause()
"""


def service(folder: Path, script: str = SERVICE) -> Command:
    return Command(["/bin/sh", "-c", script], {"PATH": os.defpath}, None, str(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make the service's own folder, which goes with it."""
    own = tmp_path / "service"
    own.mkdir()
    return own


@pytest.fixture
def tree(folder: Path) -> Iterator[Tree]:
    tree = Tree(folder, signal.SIGTERM)
    yield tree
    tree.end()


@pytest.fixture
def running(tree: Tree, folder: Path) -> Tree:
    tree.start(service(folder))
    assert wait_until(lambda: len(tree.pids()) == 4, 10)
    return tree


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and state(pid) != "Z"]


def test_killing_a_service_ends_its_daemons_too(running: Tree) -> None:
    pids = running.pids()

    running.kill()

    assert not alive(pids)
    assert not running.runs()


def test_a_paused_service_stands_still_until_it_is_resumed(running: Tree) -> None:
    running.pause()
    assert wait_until(lambda: {state(pid) for pid in running.pids()} == {"T"}, 10)

    running.resume()

    assert wait_until(lambda: "T" not in {state(pid) for pid in running.pids()}, 10)


def test_even_a_paused_service_can_be_ended(running: Tree, folder: Path) -> None:
    running.pause()

    running.end()

    assert not folder.exists()


def test_a_service_can_be_started_again_after_its_end(running: Tree, folder: Path) -> None:
    running.kill()

    running.start(service(folder))

    assert running.runs()


def test_the_folder_goes_with_the_service(running: Tree, folder: Path) -> None:
    pids = running.pids()

    running.end()

    assert not alive(pids)
    assert not folder.exists()


def test_what_a_service_says_is_kept_while_it_lives(running: Tree) -> None:
    assert running.last_lines() == "started"


def test_a_program_that_cannot_be_run_is_named(tree: Tree, folder: Path) -> None:
    with pytest.raises(ServiceFailed, match=r"^/no/such/program: "):
        tree.start(Command(["/no/such/program"], {}, None, str(folder)))


def test_a_service_ended_for_good_cannot_be_started_again(running: Tree, folder: Path) -> None:
    running.end()

    with pytest.raises(ServiceFailed, match="ended for good"):
        running.start(service(folder))


def start_owner(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def keeper_of(owner: subprocess.Popen[str]) -> int:
    assert owner.stdout is not None
    return int(owner.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_an_owner_that_is_killed(folder: Path, number: signal.Signals) -> None:
    with start_owner(folder) as owner:
        keeper = keeper_of(owner)

        owner.send_signal(number)

    assert wait_until(lambda: not alive([keeper]), 20)
    assert not folder.exists()


def test_a_service_told_to_stay_outlives_its_owner_until_its_keeper_is_ended(folder: Path) -> None:
    with start_owner(folder, "stay") as owner:
        keeper = keeper_of(owner)
        owner.kill()
    time.sleep(0.2)  # long enough for a keeper that does not stay to notice
    assert alive([keeper])

    os.kill(keeper, signal.SIGTERM)

    assert wait_until(lambda: not alive([keeper]), 20)
    assert not folder.exists()
