"""
MetaTrader 5, in child processes: `BrokerInterface` and `MT5ConnectionPool` for people, `terminal` for the pipeline.

The names are loaded on first use, so that a terminal's child process does not pay for what only its parent needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worker.domain.errors import OutcomeUnknown
    from worker.mt5.broker import BrokerInterface, MarketSnapshot
    from worker.mt5.pool import MT5ConnectionPool

__all__ = ["BrokerInterface", "MT5ConnectionPool", "MarketSnapshot", "OutcomeUnknown"]


def __getattr__(name: str) -> Any:
    if name == "MT5ConnectionPool":
        from worker.mt5.pool import MT5ConnectionPool  # noqa: PLC0415 - loaded on first use, see above

        return MT5ConnectionPool
    if name in {"BrokerInterface", "MarketSnapshot", "OutcomeUnknown"}:
        from worker.mt5 import broker  # noqa: PLC0415 - loaded on first use, see above

        return getattr(broker, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
