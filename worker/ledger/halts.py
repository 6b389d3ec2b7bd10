"""Halts as the account's row has them (columns for its own, one JSON object for symbols), and as last seen there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Any

import structlog

from worker.domain.halts import Halt, Halts
from worker.ledger.encoding import Row

_log = structlog.get_logger()


class SeenHalts:
    """The halts as this worker last saw them: in a batch's locked read, or when it renewed its lease."""

    def __init__(self) -> None:
        self.now = Halts()
        self._change = asyncio.Event()

    def note(self, halts: Halts) -> None:
        """Take note of what stands; a change is logged once and wakes whoever waits for one."""
        if halts == self.now:
            return
        before, self.now = set(self.now), halts
        _tell(before, set(halts))
        self._change.set()
        self._change = asyncio.Event()

    async def change(self, within: float | None = None) -> None:
        """Return when they were seen to change, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._change.wait()


def halts_from(row: Row) -> Halts:
    """Return the halts that stand in an account's row."""
    symbols = {name: _of_symbol(name, told) for name, told in row["symbol_halts"].items()}
    if not row["halted"]:
        return Halts(None, symbols)
    return Halts(Halt(row["halt_reason"], row["halted_by"], row["halted_at"], hold=row["halt_holds"]), symbols)


def halts_row(halts: Halts) -> dict[str, Any]:
    """Return the columns that say the same."""
    own = halts.account
    return {
        "halted": own is not None,
        "halt_reason": own and own.reason,
        "halted_by": own and own.by,
        "halted_at": own and own.at,
        "halt_holds": own is not None and own.hold,
        "symbol_halts": {name: _told(halt) for name, halt in halts.symbols.items()},
    }


def _of_symbol(name: str, told: Row) -> Halt:
    return Halt(told["reason"], told["by"], datetime.fromisoformat(told["at"]), name, hold=told["hold"])


def _told(halt: Halt) -> dict[str, Any]:
    return {"reason": halt.reason, "by": halt.by, "at": halt.at, "hold": halt.hold}


def _tell(before: set[Halt], after: set[Halt]) -> None:
    begun = {halt.symbol for halt in after}
    for halt in before - after:
        if halt.symbol not in begun:
            _log.warning("halt_lifted", symbol=halt.symbol, was=str(halt), meaning="trades are sent again")
    for halt in after - before:
        meaning = "waiting trades are kept" if halt.hold else "waiting trades are rejected"
        _log.warning("halt_seen", symbol=halt.symbol, halt=str(halt), meaning=f"nothing new is sent; {meaning}")
