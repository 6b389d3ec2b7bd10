"""The module object that stands in for `MetaTrader5`: its constants, structures and functions."""

from __future__ import annotations

import atexit
import sys
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import ModuleType

from worker.mt5.simulated import constants, structs
from worker.mt5.simulated.lookups import LookupCalls
from worker.mt5.simulated.market import MarketCalls, MissingCalls
from worker.mt5.simulated.pipe import Pipe
from worker.mt5.simulated.session import SessionCalls
from worker.mt5.simulated.trading import TradingCalls
from worker.settings import simulated_book_from_environment

NAME = "MetaTrader5"
PACKAGE_VERSION = "5.0.6231"
_GROUPS = (SessionCalls, MarketCalls, MissingCalls, TradingCalls, LookupCalls)


def install(book: Path | None = None) -> ModuleType:
    """
    Make `import MetaTrader5` give the simulated terminal in this process, and return it.

    The book is `book`, else the file that MT5_SIMULATED_BOOK names, else a private one that is removed at exit.
    """
    sys.modules[NAME] = terminal = module(book)
    return terminal


def module(book: Path | None = None) -> ModuleType:
    """Return the simulated terminal without making it importable; the book as for `install`."""
    terminal = ModuleType(NAME, "A simulated MetaTrader 5 terminal.")
    terminal.__dict__.update({"__version__": PACKAGE_VERSION} | _constants() | _structures())
    pipe = Pipe(book or simulated_book_from_environment() or _private_book())
    atexit.register(pipe.disconnect)  # runs before a private book is removed
    for group in _GROUPS:
        terminal.__dict__.update(_functions(group(pipe)))
    return terminal


def _constants() -> dict[str, object]:
    return {name: value for name, value in vars(constants).items() if name.isupper()}


def _structures() -> dict[str, object]:
    return {struct.__name__: struct for struct in structs.ALL}


def _functions(calls: object) -> dict[str, object]:
    """Return bound methods: like C functions, they do not bind again when they are stored on a class."""
    names = (name for name in dir(calls) if not name.startswith("_") and name != "pipe")
    return {name: getattr(calls, name) for name in names}


def _private_book() -> Path:
    folder = Path(mkdtemp(prefix="mt5-simulated-"))
    atexit.register(rmtree, folder, ignore_errors=True)
    return folder / "book.sqlite"
