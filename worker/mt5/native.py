"""The MetaTrader5 package: this module alone imports it. It exists for Windows only and lives in a child process."""

from __future__ import annotations

from typing import Any

from worker.domain.errors import TerminalUnavailable


def module() -> Any:
    """Return the MetaTrader5 module; raises TerminalUnavailable where it is not installed."""
    try:
        import MetaTrader5  # noqa: PLC0415 - only a native session may need the package
    except ImportError as error:
        raise TerminalUnavailable(
            "the MetaTrader5 package is not installed here (it exists for Windows only); nothing can be traded with "
            f"the native backend on this machine: {error}"
        ) from None
    return MetaTrader5
