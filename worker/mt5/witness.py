"""Whether the terminal's history is the whole of it: a deal that is known to exist must be in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from worker.mt5.link import Link

_MONTH = int(timedelta(days=30).total_seconds())


class Witness:
    """
    Finds the newest deal that is known of the account or, before one is, any deal at all: at first the balance's.

    A terminal that has just started finds nothing in a history it has not loaded, and calls that a success. The time
    at which the deal was found is remembered, but every search asks the terminal for it again.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._found_at: int | None = None

    def look(self, ticket: int | None, dealt: dict[int, Any], window: tuple[int, int]) -> dict[int, Any]:
        """Return deals among which it is: those of a window, else of a wider one; all there are when it is nowhere."""
        deals = dealt
        for deals in self._ever_wider(dealt, window):
            if self.is_in(deals, ticket):
                self._found_at = deals[ticket or max(deals)].time
                break
        return deals

    def is_in(self, deals: dict[int, Any], ticket: int | None) -> bool:
        """Tell whether these deals, by ticket, hold the one that is known (None: any)."""
        return bool(deals) if ticket is None else ticket in deals

    def _ever_wider(self, dealt: dict[int, Any], window: tuple[int, int]) -> Iterator[dict[int, Any]]:
        begin, end = window
        yield dealt
        if self._found_at is not None:
            yield self._deals(self._found_at, self._found_at + 1)
        yield self._deals(begin - _MONTH, end)
        yield self._deals(0, end)

    def _deals(self, begin: int, end: int) -> dict[int, Any]:
        return {row.ticket: row for row in self._link.rows("history_deals_get", begin, end) or ()}
