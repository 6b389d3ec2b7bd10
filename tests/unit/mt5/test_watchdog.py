"""A call that hangs ends its process, although it holds the interpreter; one that waits for a command does not."""

from __future__ import annotations

import faulthandler
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from worker.mt5 import silence
from worker.mt5.silence import Listener
from worker.mt5.watchdog import Watchdog

_ROOT = Path(__file__).parents[3]
_HANGS = """
import ctypes, time
from worker.mt5 import watchdog
watchdog._PARENT_IS_QUICKER, watchdog._FED_EVERY_SECONDS = 0.1, 0.1
dog = watchdog.Watchdog()
for _ in range(50):
    dog.feed(0.1)
    time.sleep(0.01)  # longer together than one call may take
print("works", flush=True)
dog.feed(0.1)
ctypes.PyDLL(None).sleep(60)  # holds the interpreter, as a call of the package does
"""


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """Note what the watchdog is armed with (s), None for its rests; nothing is ended."""
    noted: list[float | None] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda seconds, **_: noted.append(seconds))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: noted.append(None))
    return noted


@pytest.mark.skipif(sys.platform == "win32", reason="holds the interpreter by a function of the C library of POSIX")
def test_a_call_that_hangs_and_holds_the_interpreter_ends_its_process_and_those_before_it_did_not() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _HANGS], cwd=_ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert (run.stdout, run.returncode) == ("works\n", 1)


def test_it_is_armed_rarely_and_every_call_has_its_whole_limit(
    armed: list[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given calls for three seconds
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    dog, ends_at = Watchdog(), 0.0
    for _ in range(10):
        before = len(armed)
        dog.feed(5)
        if len(armed) > before:
            ends_at = now + (armed[-1] or 0)

        # Then none of them would be ended within its limit
        assert ends_at - now > 5
        now += 0.3
    assert len(armed) == 3


def test_another_limit_counts_at_once(armed: list[float | None]) -> None:
    dog = Watchdog()
    dog.feed(75)
    dog.feed(5)
    assert len(armed) == 2


def test_after_a_rest_it_is_armed_again(armed: list[float | None]) -> None:
    dog = Watchdog()
    dog.rest()
    for _ in range(2):
        dog.feed(5)
        dog.rest()
        dog.rest()
    assert [seconds is None for seconds in armed] == [False, True] * 2


def test_it_rests_as_soon_as_nothing_is_asked(armed: list[float | None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "_IDLE_SECONDS", 0.01)
    rested = threading.Event()

    class Noted(Watchdog):
        def rest(self) -> None:
            super().rest()
            rested.set()

    theirs, ours = os.pipe()
    dog = Noted()
    dog.feed(5)
    with os.fdopen(theirs, "rb") as commands, os.fdopen(ours, "wb") as pipe, Listener(commands, dog) as listener:
        lines: list[bytes] = []
        waiting = threading.Thread(target=lambda: lines.append(listener.line(None)))
        waiting.start()
        assert rested.wait(5)
        assert armed[-1] is None
        pipe.write(b"a command\n")
        pipe.flush()
        waiting.join(5)
    assert lines == [b"a command\n"]
