"""What the broker's records say of one trade, and what follows from it. Deals decide; an order's own end closes."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from worker.domain.execution import Attempt, Deal, Execution, State
from worker.domain.market import BrokerDeal, BrokerOrder, BrokerPosition, OrderState
from worker.domain.token import MAX_ATTEMPTS, token_in


def token_of(seen: BrokerOrder | BrokerDeal | BrokerPosition) -> int:
    """Return the attempt's token that something at the broker carries, in its magic or else its comment; 0 for none."""
    return seen.magic or token_in(seen.comment) or 0


@dataclass(slots=True)
class Evidence:
    """All sightings of one trade's orders and deals, by ticket: seeing one twice, or out of order, changes nothing."""

    orders: dict[int, BrokerOrder] = field(default_factory=dict)
    deals: dict[int, BrokerDeal] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether anything was seen."""
        return bool(self.orders or self.deals)

    @property
    def shows_an_effect(self) -> bool:
        """Tell whether something was executed, or may still be; an order that ended with nothing done is none."""
        return bool(self.deals) or any(order.has_effect for order in self.orders.values())

    def add_order(self, order: BrokerOrder) -> None:
        """Keep the newest sighting; an order that is over stays over."""
        known = self.orders.get(order.ticket)
        if known is None or not known.is_over:
            self.orders[order.ticket] = order

    def add_deal(self, deal: BrokerDeal) -> None:
        """Keep a deal."""
        self.deals[deal.ticket] = deal

    def add(self, other: Evidence | None) -> None:
        """Keep all that another look has seen."""
        if other is not None:
            for order in other.orders.values():
                self.add_order(order)
            self.deals |= other.deals

    def order_of(self, execution: Execution) -> BrokerOrder | None:
        """
        Return the execution's order, by its ticket; while that is not known, by the token of the latest attempt.

        A broker may keep the order of an attempt that it refused: it says nothing about the attempts after it.
        """
        if execution.order_ticket is not None:
            return self.orders.get(execution.order_ticket)
        eligible = (one for one in self.orders.values() if one.has_effect or token_of(one) >= execution.latest_token)
        return max(eligible, key=token_of, default=None)

    def forgotten_attempt(self, execution: Execution) -> Attempt | None:
        """Return an attempt that has taken effect and that the ledger never wrote down; None when there is none."""
        orders = {token_of(order): order for order in self.orders.values() if order.has_effect}
        magic = max([*orders, *map(token_of, self.deals.values())], default=0)
        if magic <= execution.latest_token:
            return None
        order = orders.get(magic)
        executed = sum((deal.volume for deal in self.deals.values() if token_of(deal) == magic), Decimal(0))
        return Attempt(
            number=magic & MAX_ATTEMPTS,
            magic=magic,
            lots=executed if order is None else order.volume_initial,
            outcome="found",
            order_ticket=None if order is None else order.ticket,
            detail="the broker shows it; the ledger was restored from an older copy, and never wrote it down",
        )

    def new_deals(self, execution: Execution) -> tuple[Deal, ...]:
        """Return the deals that the execution does not have yet, or has only on an operator's word, oldest first."""
        known = {deal.deal_id for deal in execution.deals if deal.attested_by is None}
        unseen = [deal for deal in self.deals.values() if deal.ticket not in known]
        return tuple(_attributed(deal, execution) for deal in sorted(unseen, key=lambda d: (d.time, d.ticket)))


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The end of an order: the final state with its reason, None where everything asked for was executed."""

    state: State
    reason: str | None = None
    detail: str | None = None


def conclude(execution: Execution, order: BrokerOrder | None) -> Conclusion | None:
    """
    Tell how an execution ends, given its deals so far and its order; None while it is not over.

    An order that is over but whose deals have not all appeared is not over for us: the deals carry the prices.
    """
    requested, executed = execution.requested_lots or Decimal(0), execution.executed_lots
    if executed >= requested > 0:
        return Conclusion(State.FILLED)
    if order is None or not order.is_over or executed < _claimed(order):
        return None
    if executed > 0:
        return Conclusion(State.PARTIALLY_FILLED)
    return _nothing_executed(execution, order)


def _claimed(order: BrokerOrder) -> Decimal:
    return order.volume_initial if order.state == OrderState.FILLED else order.executed


def _nothing_executed(execution: Execution, order: BrokerOrder) -> Conclusion:
    state = OrderState(order.state).name.lower()
    if order.state == OrderState.REJECTED:
        detail = f"the broker accepted order {order.ticket} and then rejected it"
        return Conclusion(State.REJECTED, "broker_rejection", detail)
    if execution.cancelled_at is not None:
        detail = f"order {order.ticket} was not filled in time; we cancelled it and nothing was executed"
        return Conclusion(State.EXPIRED, "order_timeout", detail)
    detail = f"order {order.ticket} is {state} at the broker; we had not asked for it"
    return Conclusion(State.CANCELLED, "broker_cancelled", detail)


def _attributed(deal: BrokerDeal, execution: Execution) -> Deal:
    return Deal(
        deal_id=deal.ticket,
        order_id=deal.order,
        magic=deal.magic,
        position_id=deal.position_id,
        lots=deal.volume,
        units=deal.volume * (execution.contract_size or Decimal(1)),
        price=deal.price,
        commission=deal.commission,
        fee=deal.fee,
        time=deal.time,
    )
