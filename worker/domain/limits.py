"""
Pre-trade limits on how often orders are sent. Off unless set, and they only ever refuse.

Two of the controls that Delegated Regulation (EU) 2017/589 (RTS 6), article 15, asks of algorithmic trading: a limit on
the messages sent, and a throttle on repeated automated execution. Both count over a sliding window of seconds on the
monotonic clock, so that setting the machine's clock neither opens nor closes them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from worker.domain.checks import Refusal
from worker.domain.instrument import plain
from worker.domain.trade import Direction

MINUTE = 60.0  # seconds
_VERBS = {Direction.LONG: "buy", Direction.SHORT: "sell"}


@dataclass(frozen=True, slots=True)
class OrderLimits:
    """How many orders at most, 0 = any number: in a minute, and alike ones within `repeat_window` seconds."""

    per_minute: int = 0
    repeated: int = 0
    repeat_window: float = MINUTE

    @property
    def memory(self) -> float:
        """Return how long an order counts, in seconds; 0 when nothing is limited."""
        return max(MINUTE if self.per_minute else 0.0, self.repeat_window if self.repeated else 0.0)


@dataclass(frozen=True, slots=True)
class Order:
    """What is counted. Orders in the same symbol (the broker's name), direction and units are alike."""

    symbol: str
    direction: Direction
    units: Decimal
    is_retry: bool  # another attempt of a trade that was written ahead before


@dataclass(frozen=True, slots=True)
class Counted:
    """An order that was admitted and counts; `at` in seconds on the monotonic clock."""

    order: Order
    at: float


class Throttle:
    """
    Admits orders one by one; what is admitted counts at once, before it is written ahead.

    So of fifty trades that were checked at the same moment no more are admitted than may be sent. Every order counts
    for the minute, a retry too. For the repetitions a trade counts once, and its retries are not refused for it: they
    are the same execution.
    """

    def __init__(self, limits: OrderLimits) -> None:
        self.limits = limits
        self._rate = _SlidingCount(limits.per_minute, MINUTE)
        self._alike = _SlidingCount(limits.repeated, limits.repeat_window)

    def remember(self, orders: Iterable[tuple[datetime, Order]], now: datetime, monotonic: float) -> None:
        """Count orders that were written ahead before this worker began, in the order of their times (UTC)."""
        for written_at, order in orders:
            self._count(Counted(order, monotonic - max(0.0, (now - written_at).total_seconds())))

    def admit(self, order: Order, now: float) -> Counted | Refusal:
        """Count an order, or say why it must not be sent; `now` in seconds on the monotonic clock."""
        if self._rate.is_full(None, now):
            return _refusal(
                f"MAX_ORDERS_PER_MINUTE is {self.limits.per_minute}, and as many orders were written ahead within the "
                f"last {MINUTE:g} s"
            )
        if not order.is_retry and self._alike.is_full(order, now):
            return _refusal(
                f"MAX_REPEATED_ORDERS is {self.limits.repeated}, and as many orders to {_VERBS[order.direction]} "
                f"{plain(order.units)} {order.symbol} were written ahead within the last "
                f"{self.limits.repeat_window:g} s (REPEAT_WINDOW_SECONDS)"
            )
        counted = Counted(order, now)
        self._count(counted)
        return counted

    def withdraw(self, counted: Counted) -> None:
        """Do not count an order after all: it was not written ahead."""
        self._rate.remove(None, counted.at)
        if not counted.order.is_retry:
            self._alike.remove(counted.order, counted.at)

    def _count(self, counted: Counted) -> None:
        self._rate.add(None, counted.at)
        if not counted.order.is_retry:
            self._alike.add(counted.order, counted.at)


class _SlidingCount:
    """How many of each kind there were within the last `window` seconds; full at `limit` of a kind, 0 = never."""

    def __init__(self, limit: int, window: float) -> None:
        self._limit, self._window = limit, window
        self._entries: deque[tuple[float, Hashable]] = deque()
        self._counts: Counter[Hashable] = Counter()

    def is_full(self, kind: Hashable, now: float) -> bool:
        while self._entries and self._entries[0][0] <= now - self._window:
            self._uncount(self._entries.popleft()[1])
        return 0 < self._limit <= self._counts[kind]

    def add(self, kind: Hashable, at: float) -> None:
        if self._limit:
            self._entries.append((at, kind))
            self._counts[kind] += 1

    def remove(self, kind: Hashable, at: float) -> None:
        if (at, kind) in self._entries:
            self._entries.remove((at, kind))
            self._uncount(kind)

    def _uncount(self, kind: Hashable) -> None:
        self._counts[kind] -= 1
        if not self._counts[kind]:
            del self._counts[kind]


def _refusal(detail: str) -> Refusal:
    return Refusal("rejected", "limit_exceeded", detail)
