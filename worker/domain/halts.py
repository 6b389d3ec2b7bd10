"""Halts: who has stopped trading, of what, why, and what becomes of the trades that come meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Halt:
    """
    One halt, of a whole account or of one symbol. Its text is what a trade is rejected with.

    One that holds keeps trades waiting until it is lifted or they are too old; any other has them rejected.
    """

    reason: str
    by: str
    at: datetime  # UTC
    symbol: str | None = None  # RPM's name, as the approved trade has it; None: the account
    hold: bool = False

    def __str__(self) -> str:
        """Say who has halted what, and why."""
        who = f"halted by {self.by}: {self.reason}"
        return who if self.symbol is None else f"{self.symbol} is {who}"


@dataclass(frozen=True, slots=True)
class Halts:
    """All halts of an account."""

    account: Halt | None = None
    symbols: Mapping[str, Halt] = field(default_factory=dict)  # by RPM's name

    def of(self, symbol: str) -> Halt | None:
        """Return the halt that decides about a symbol's trades: of two, the one that rejects, else the account's."""
        found = [halt for halt in (self.account, self.symbols.get(symbol)) if halt is not None]
        return min(found, key=lambda halt: halt.hold, default=None)

    def on(self, symbol: str | None) -> Halt | None:
        """Return the halt that was put on this symbol itself, or (for None) on the account."""
        return self.account if symbol is None else self.symbols.get(symbol)

    def put(self, halt: Halt) -> Halts:
        """Return the halts with this one in its place."""
        if halt.symbol is None:
            return Halts(halt, self.symbols)
        return Halts(self.account, {**self.symbols, halt.symbol: halt})

    def lifted(self, symbol: str | None) -> Halts:
        """Return the halts without the one on this symbol, or (for None) on the account."""
        if symbol is None:
            return Halts(None, self.symbols)
        return Halts(self.account, {name: halt for name, halt in self.symbols.items() if name != symbol})

    def __iter__(self) -> Iterator[Halt]:
        """Yield the account's halt, then those of symbols by name."""
        if self.account is not None:
            yield self.account
        for name in sorted(self.symbols):
            yield self.symbols[name]
