"""One of a canary's two orders: how it was answered, and when each of its records came into sight."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from worker.domain.errors import TerminalUnavailable
from worker.domain.market import BrokerDeal, BrokerOrder, BrokerPosition, OrderRequest
from worker.mt5.canary.questions import TRACES, TraceRequest, Traces
from worker.mt5.session import TerminalSession

_BETWEEN_LOOKS = 0.02  # seconds; the lags are known no better than that
_BETWEEN_TRIES = 1.0  # seconds, while the terminal is out of reach
_CLOCKS_APART = timedelta(minutes=1)  # a look reaches so far behind the send

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Sight(Generic[Record]):
    """A record as it first came into sight, so many seconds after the answer to its order."""

    record: Record
    lag: float


class Leg:
    """Sends an order at once, and then looks after it."""

    def __init__(self, session: TerminalSession, order: OrderRequest) -> None:
        self._session = session
        self.sent = order
        since = datetime.now(UTC) - _CLOCKS_APART
        self.report = session.submit(order)
        self._answered_at = time.monotonic()
        self._request = TraceRequest(since, self.report.order_ticket, order.magic, order.comment, order.symbol)
        self.last = Traces()
        self.order: Sight[BrokerOrder] | None = None  # in history
        self.deals: Sight[tuple[BrokerDeal, ...]] | None = None
        self.position: Sight[BrokerPosition] | None = None

    @property
    def ticket(self) -> int:
        """Return the order's ticket as answered or as found; 0 while it is not known."""
        return self._request.ticket

    @property
    def age(self) -> float:
        """Return the seconds since the answer."""
        return round(time.monotonic() - self._answered_at, 3)

    def look(self) -> None:
        """Look once, and note what has come into sight. Raises TerminalUnavailable."""
        self.last = self._session.call(TRACES, self._request)
        self._request = replace(self._request, ticket=self.ticket or self.last.ticket)
        if self.order is None and self.last.order:
            self.order = Sight(self.last.order, self.age)
        if self.deals is None and _is_whole(self.last):
            self.deals = Sight(self.last.deals, self.age)
        if self.position is None and self.last.position:
            self.position = Sight(self.last.position, self.age)

    def wait(self, enough: Callable[[], bool], patience: float) -> bool:
        """Look until there is enough to see; False when there was not within `patience` seconds."""
        give_up_at = time.monotonic() + patience
        while time.monotonic() < give_up_at:
            try:
                self.look()
            except TerminalUnavailable:
                time.sleep(_BETWEEN_TRIES)  # its process may have been ended, and is being replaced
                continue
            if enough():
                return True
            time.sleep(_BETWEEN_LOOKS)
        return False


def _is_whole(traces: Traces) -> bool:
    """Tell whether the deals are all that the order says was executed."""
    dealt = sum(deal.volume for deal in traces.deals)
    return bool(traces.deals) and dealt >= (traces.order.executed if traces.order else 0)
