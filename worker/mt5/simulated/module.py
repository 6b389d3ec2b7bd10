"""The module object that stands in for `MetaTrader5`: its constants, structures and functions."""

from __future__ import annotations

import atexit
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import ModuleType

from worker.mt5.simulated import constants, structs
from worker.mt5.simulated.package.depth import DepthCalls
from worker.mt5.simulated.package.functions import SIGNATURES, Function
from worker.mt5.simulated.package.helpers import helpers
from worker.mt5.simulated.package.history import HistoryCalls
from worker.mt5.simulated.package.lookups import LookupCalls
from worker.mt5.simulated.package.market import MarketCalls
from worker.mt5.simulated.package.pipe import Pipe
from worker.mt5.simulated.package.session import SessionCalls
from worker.mt5.simulated.package.trading import TradingCalls
from worker.settings import simulated_book_from_environment

NAME = "MetaTrader5"
CORE = f"{NAME}._core"  # the part of the package that is written in C
PACKAGE_VERSION = "5.0.6231"
AUTHOR = "MetaQuotes Ltd."
_GROUPS = (SessionCalls, MarketCalls, HistoryCalls, DepthCalls, TradingCalls, LookupCalls)


def install(book: Path | str | None = None, *, netting: bool = False) -> ModuleType:
    """
    Make `import MetaTrader5` give the simulated terminal in this process, and return it.

    The book is `book`, else the file that MT5_SIMULATED_BOOK names, else a private one that is removed at exit; a
    relative path begins at the folder of this moment, `~` is the user's own.
    A new book is that of a hedging account, or of a `netting` one; a book that is there already stays what it is.
    """
    terminal = module(book, netting=netting)
    sys.modules |= {NAME: terminal, CORE: vars(terminal)["_core"]}
    return terminal


def module(book: Path | str | None = None, *, netting: bool = False) -> ModuleType:
    """Return the simulated terminal without making it importable; book and account as for `install`."""
    named = book or simulated_book_from_environment() or _private_book()
    path = Path(named).expanduser().absolute()  # the same account, wherever the program goes from here
    terminal, core = _empty(NAME), _core(Pipe(path, netting=netting))
    vars(terminal).update(
        {"__version__": PACKAGE_VERSION, "__author__": AUTHOR, "__path__": [], "_core": core}
        | _constants()
        | {name: value for name, value in vars(core).items() if not name.startswith("_")}
        | {helper.__name__: helper for helper in helpers(terminal)}
    )
    return terminal


def _core(pipe: Pipe) -> ModuleType:
    atexit.register(pipe.disconnect)  # runs before a private book is removed
    core, groups = _empty(CORE), [make(pipe) for make in _GROUPS]
    vars(core).update({struct.__name__: struct for struct in structs.ALL})
    for name in SIGNATURES:
        (body,) = (getattr(group, name) for group in groups if hasattr(group, name))
        vars(core)[name] = Function(name, body, core)
    return core


def _empty(name: str) -> ModuleType:
    made = ModuleType(name, "A simulated MetaTrader 5 terminal.")
    made.__spec__ = ModuleSpec(name, loader=None, origin="simulated")
    made.__package__ = NAME
    return made


def _constants() -> dict[str, object]:
    return {name: value for name, value in vars(constants).items() if name.isupper()}


def _private_book() -> Path:
    folder = Path(mkdtemp(prefix="mt5-simulated-"))
    atexit.register(rmtree, folder, ignore_errors=True)
    return folder / "book.sqlite"
