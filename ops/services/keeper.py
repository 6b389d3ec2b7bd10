"""Keeps the processes of one service, and ends all of them when their owner is gone.

Runs as a program of its own, so that even an owner ended by SIGKILL leaves nothing behind::

    python keeper.py FOLDER FAREWELL

Standard input carries one order a line, as JSON, and each gets one line of JSON back: ``{"start": {…}}`` starts a
command, ``{"stay": true}`` lets the service outlive its owner until this keeper gets SIGTERM. When the input ends
(or on SIGTERM) the processes get the signal FAREWELL, after a moment everything left is killed, and FOLDER is
removed. What the service says goes to standard error. Daemons that leave their parent (the Erlang port mapper
does) are adopted, so they cannot escape.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_FAREWELL_SECONDS = 5.0
_KILL_SECONDS = 10.0
_GLANCE_SECONDS = 0.05  # a look may walk through all processes of the machine


def family(ancestor: int) -> list[int]:
    """Return the ids of all living descendants of a process, parents before their children."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _living_parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found = list(children.get(ancestor, []))
    for pid in found:  # grows while we walk it
        found.extend(children.get(pid, []))
    return found


def _living_parent(entry: Path) -> int | None:
    try:
        # The name in parentheses may hold anything, blanks and parentheses too.
        state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state == "Z" else int(parent)


def send(pids: list[int], number: int) -> None:
    """Send a signal to processes, some of which may have ended meanwhile."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds; False when it still does not after that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_GLANCE_SECONDS)
    return True


def kill_family(ancestor: int) -> bool:
    """Kill all descendants of a process, also those born while we look; False when some cannot be killed."""

    def nobody_left() -> bool:
        pids = family(ancestor)
        send(pids, signal.SIGKILL)
        return not pids

    return wait_until(nobody_left, _KILL_SECONDS)


def _adopt_orphans() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _reap(_number: int, _frame: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass


def _start(order: dict[str, Any]) -> int:
    import pwd  # noqa: PLC0415 - Windows lacks it, and must be able to read this file

    user = pwd.getpwnam(order["user"]) if order["user"] else None
    process = subprocess.Popen(  # noqa: S603 - the owner's own command; this program is nothing but its hand
        order["argv"],
        env=order["environment"],
        cwd=order["cwd"],
        user=user and user.pw_uid,
        group=user and user.pw_gid,
        extra_groups=[] if user else None,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,  # the service's log; our own output belongs to the owner
    )
    process.returncode = 0  # reaped by our own handler: the object must not wait for it again
    return process.pid


def _end(folder: Path, farewell: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    me = os.getpid()
    send(family(me), signal.SIGCONT)
    send(family(me), farewell)
    wait_until(lambda: not family(me), _FAREWELL_SECONDS)
    kill_family(me)
    shutil.rmtree(folder, ignore_errors=True)


def main(folder: Path, farewell: int) -> None:
    """Obey the orders on standard input until it ends, then end everything."""
    _adopt_orphans()
    signal.signal(signal.SIGCHLD, _reap)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit())
    try:
        for line in sys.stdin:
            order = json.loads(line)
            if "stay" in order:
                _reply({})
                _stay()
            _reply(_answer(order["start"]))
    finally:
        _end(folder, farewell)


def _stay() -> NoReturn:
    while True:
        signal.pause()


def _reply(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _answer(order: dict[str, Any]) -> dict[str, object]:
    try:
        return {"pid": _start(order)}
    except (OSError, KeyError) as error:
        return {"error": f"{order['argv'][0]}: {error}"}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
