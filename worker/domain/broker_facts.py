"""What a canary has measured of a broker, and what of it the worker's promises rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from worker.domain.execution import Venue
from worker.domain.token import COMMENT_LENGTH


@dataclass(frozen=True, slots=True)
class Kept:
    """What one record at the broker still carries: the magic as it was sent, and so many characters of the comment."""

    magic: bool
    comment: int


@dataclass(frozen=True, slots=True)
class Lags:
    """
    How long (s) after the answer each record came into sight, at most: a look is made every few hundredths of a second.

    `closing` is the same for the position's end and the deal that closed it.
    """

    order: float
    deal: float
    position: float
    closing: float

    @property
    def longest(self) -> float:
        """Return the longest of them: what has not shown up by then may still do so."""
        return max(self.order, self.deal, self.position, self.closing)


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """
    The measurements of one canary: a position of the smallest volume, opened and closed again.

    `clock_offset` is server time minus UTC (s) as price changes tell it, `clock_error` what the deal's own time differs
    from it (s). Filling and execution modes are MetaTrader's numbers, `latencies` are milliseconds by the package's
    function, `commission` is the account's currency for both deals together.
    """

    measured_at: datetime
    venue: Venue
    account_mode: str  # netting | hedging
    version: str
    symbol: str  # the broker's name
    lots: Decimal
    order: Kept
    deal: Kept
    position: Kept
    comment_sent: int  # characters
    lags: Lags
    clock_offset: float
    clock_error: float
    execution_mode: int
    filling_flags: int
    checks: Mapping[int, int | None]  # order_check's return code by filling mode; None: no answer
    retcode: int | None  # of order_send; None: it gave no answer, and the order was found all the same
    deals_by_ticket: str  # what history_deals_get(ticket=) takes: order | deal | either | neither
    commission: Decimal
    commission_came_later: bool
    latencies: Mapping[str, float]

    @property
    def keeps_magic(self) -> bool:
        """Tell whether a trade's order and deals can be told from all others by their magic."""
        return self.order.magic and self.deal.magic

    @property
    def keeps_comment(self) -> bool:
        """Tell whether a token in the comment survives as well."""
        return min(self.order.comment, self.deal.comment) >= COMMENT_LENGTH


@dataclass(frozen=True, slots=True)
class StoredFacts:
    """What the ledger remembers of the last canary on one symbol of an account; the lag in seconds."""

    measured_at: datetime
    measured_by: str
    server: str
    login: int
    symbol: str
    history_lag: float
    keeps_magic: bool
    keeps_comment: bool
