"""
Stands in for the MetaTrader5 package where it does not exist: copied as `MetaTrader5.py` into a session's path.

Orders go to the simulated broker, but the terminal is a process of its own, as the real one is: `initialize(path)`
starts that program where it does not run, and it stays when its session has ended. While `<path>.hangs` exists, a
running terminal lets nobody connect (for a time-out's length, cut short here).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

from worker.mt5 import simulated

_broker = simulated.module(Path(os.environ["STAND_IN_BOOK"]))
globals().update({name: value for name, value in vars(_broker).items() if not name.startswith("_")})
_TIMED_OUT = (-10005, "IPC timeout")
_state: dict[str, Any] = {"program": "", "error": None}


def initialize(path: str = os.environ.get("STAND_IN_DEFAULT", ""), **given: Any) -> bool:
    _state.update(program=path, error=None)
    if not any(process.info["exe"] == path for process in psutil.process_iter(["exe"])):
        Path(f"{path}.hangs").unlink(missing_ok=True)
        nothing = subprocess.DEVNULL
        subprocess.Popen([path, "600"], stdin=nothing, stdout=nothing, stderr=nothing)
    if Path(f"{path}.hangs").exists():
        _state["error"] = _TIMED_OUT
        return False
    return bool(_broker.initialize(path, **given))


def last_error() -> tuple[int, str]:
    error: tuple[int, str] = _state["error"] or _broker.last_error()
    return error


def terminal_info() -> Any:
    info = _broker.terminal_info()
    if info is None:
        return None
    folder = os.environ.get("STAND_IN_PATH", str(Path(_state["program"]).parent))
    return SimpleNamespace(**(info._asdict() | {"path": folder}))
