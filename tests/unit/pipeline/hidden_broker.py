"""A broker that does what it likes with the orders of one trade, and publishes each change as something to be seen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

from tests.unit.domain.stories import NOW
from worker.domain.market import BrokerDeal, BrokerOrder, OrderState

LOTS = Decimal(1)
SYMBOL = "EURUSD"
TENTH = Decimal("0.1")

Sight = BrokerOrder | BrokerDeal


@dataclass
class HiddenBroker:
    """What is true. `sights` are all the views of it that a terminal may ever show, in any order and as often."""

    orders: dict[int, BrokerOrder] = field(default_factory=dict)
    deals: list[BrokerDeal] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)

    @property
    def executed(self) -> Decimal:
        """Return the lots that were really executed for the trade."""
        return sum((deal.volume for deal in self.deals), Decimal(0))

    @property
    def order(self) -> BrokerOrder | None:
        """Return the only order that ever took effect."""
        assert len(self.orders) <= 1, "two orders of one trade"
        return next(iter(self.orders.values()), None)

    def take(self, magic: int) -> BrokerOrder:
        """Let an order take effect."""
        ticket = 700 + len(self.orders)
        return self._show(BrokerOrder(ticket, magic, SYMBOL, OrderState.PLACED, LOTS, LOTS, 0, "", historical=False))

    def fill(self, lots: Decimal) -> None:
        """Execute a part of the order, or all that is left of it."""
        order = self._standing()
        left = order.volume_current - lots
        state = OrderState.PARTIAL if left else OrderState.FILLED
        self._deal(order, lots)
        self._show(replace(order, state=state, volume_current=left, historical=not left))

    def end(self, state: OrderState) -> None:
        """Close the order; what is left of it will not be executed."""
        self._show(replace(self._standing(), state=state, historical=True))

    def deal_late(self, lots: Decimal) -> None:
        """Execute although the order has ended, and never correct the order."""
        assert self.order is not None
        self._deal(self.order, lots)

    def _standing(self) -> BrokerOrder:
        assert self.order is not None
        assert not self.order.is_over
        return self.order

    def _deal(self, order: BrokerOrder, lots: Decimal) -> None:
        number = len(self.deals) + 1
        time = NOW + timedelta(seconds=number)
        price = Decimal("1.1") + TENTH * number
        none = Decimal(0)
        deal = BrokerDeal(
            9000 + number, order.ticket, order.magic, 70, SYMBOL, lots, price, none, none, time, comment=""
        )
        self.deals.append(deal)
        self.sights.append(deal)

    def _show(self, order: BrokerOrder) -> BrokerOrder:
        self.orders[order.ticket] = order
        self.sights.append(order)
        return order
