"""
A MetaTrader 5 terminal that is not there: a drop-in for the `MetaTrader5` package with a broker behind it.

    from worker.mt5 import simulated
    simulated.install()
    import MetaTrader5

The broker's book is one SQLite file; any process that opens the same file is connected to the same account. What
happens to an order is chosen by its symbol's suffix, see `behaviours`; the Market Watch begins with the symbols that
have none, so a program selects the others to see their prices, as it does at any broker.

It has every function, constant and structure of the package, with the package's arguments and errors. What of a real
terminal and its server it does not have is listed in ops/decisions/0008-simulated-terminal.md.
"""

from worker.mt5.simulated.module import install, module

__all__ = ["install", "module"]
