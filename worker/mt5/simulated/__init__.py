"""
A MetaTrader 5 terminal that is not there: a drop-in for the `MetaTrader5` package with a broker behind it.

    from worker.mt5 import simulated
    simulated.install()
    import MetaTrader5

The broker's book is one SQLite file; any process that opens the same file is connected to the same account. What
happens to an order is chosen by its symbol's suffix, see `behaviours`.

Simulated are market orders, closing a position by its ticket, cancelling, look-ups, margin and profit, and a market
that never closes: prices, their history (with NumPy, see `history`), depth of market. Not simulated: pending orders,
stops, swaps, stop outs (a request for any of them is refused).
"""

from worker.mt5.simulated.module import install, module

__all__ = ["install", "module"]
