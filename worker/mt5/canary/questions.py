"""What a canary asks of a terminal's child process beside the commands that the worker itself uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import TypeAdapter

from worker.domain.market import BrokerDeal, BrokerOrder, BrokerPosition, OrderRequest
from worker.mt5.wire import Command


@dataclass(frozen=True, slots=True)
class Survey:
    """
    What can be said before anything is sent.

    `clock_offset` is server time minus UTC (s), None until it is known; `checks` are order_check's return codes by
    filling mode (None: no answer); `positions` and `orders` count what stands open on the symbol; `milliseconds` is
    what a call of each of the package's functions took.
    """

    clock_offset: float | None
    checks: Mapping[int, int | None]
    positions: int
    orders: int
    milliseconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """Which order to look for: by its ticket, or while that is not known (0) by what it was sent with."""

    since: datetime  # UTC; before the send
    ticket: int
    magic: int
    comment: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Traces:
    """
    What one look shows of an order. The times are seconds; `deal_clock` is the first deal's time on the server's clock.

    `unreadable` says which look-ups gave no answer; what they would have shown is not told then.
    """

    unreadable: str = ""
    working: BrokerOrder | None = None
    order: BrokerOrder | None = None  # in history
    deals: tuple[BrokerDeal, ...] = ()
    position: BrokerPosition | None = None
    deal_clock: float | None = None
    milliseconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def ticket(self) -> int:
        """Return the order's ticket; 0 while it is not to be seen."""
        found = self.order or self.working
        return found.ticket if found else next((deal.order for deal in self.deals), 0)


@dataclass(frozen=True, slots=True)
class TicketRequest:
    """An order and a deal of it."""

    order: int
    deal: int


SURVEY: Command[OrderRequest, Survey] = Command("survey", TypeAdapter(OrderRequest), TypeAdapter(Survey))
TRACES: Command[TraceRequest, Traces] = Command("traces", TypeAdapter(TraceRequest), TypeAdapter(Traces))
TICKETS: Command[TicketRequest, str] = Command("tickets", TypeAdapter(TicketRequest), TypeAdapter(str))
