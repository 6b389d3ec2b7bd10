"""A canary's flight: up with the smallest volume, a look around, and down again, whatever happens."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import NamedTuple

from worker.domain.errors import LeftOpen, Refused, TerminalUnavailable
from worker.domain.instrument import plain
from worker.domain.market import BrokerDeal, BrokerOrder, BrokerPosition
from worker.domain.outcomes import Proof, judge
from worker.mt5.canary.leg import Leg, Sight
from worker.mt5.canary.plan import Plan
from worker.mt5.canary.questions import TICKETS, TicketRequest
from worker.mt5.session import TerminalSession

PATIENCE_SECONDS = 60.0  # for what was executed to come into sight, and for a position to be gone
_LAST_LOOK_SECONDS = 1.0  # at least, before it is told that nothing can be seen
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds after each try to open or to close that came to nothing
_UNDER_WAY = frozenset({Proof.ACCEPTED, Proof.AMBIGUOUS})


@dataclass(frozen=True, slots=True)
class Log:
    """A whole flight: both answered orders, what came into sight of them, and what the terminal takes for a ticket."""

    up: Leg
    down: Leg
    order: Sight[BrokerOrder]
    deals: Sight[tuple[BrokerDeal, ...]]
    position: Sight[BrokerPosition]
    closing_lag: float  # seconds after the answer to the closing order until everything told of the position's end
    tickets: str


class _Landing(NamedTuple):
    """The order that closed the position; the lag is None when the terminal did not show all of it."""

    leg: Leg
    closing_lag: float | None


class Flight:
    """One canary. `patience` (s) is how long it waits for each thing to come into sight."""

    def __init__(self, session: TerminalSession, plan: Plan, patience: float = PATIENCE_SECONDS) -> None:
        self._session = session
        self._plan = plan
        self._patience = patience
        self._numbers = itertools.count(1)

    def fly(self) -> Log:
        """
        Open, look, close.

        Raises Refused when nothing is left open and there is no whole measurement, LeftOpen when something may stand
        open. Whatever interrupts it, the position is closed first.
        """
        up = self._take_off()
        tickets = "neither"
        try:
            if up.wait(lambda: None not in (up.order, up.deals, up.position), self._patience):
                tickets = self._tickets(up)
        finally:
            down = self._land(up)
        if down is None or down.closing_lag is None or not (up.order and up.deals and up.position):
            raise Refused(_not_whole(up, self._patience))
        return Log(up, down.leg, up.order, up.deals, up.position, down.closing_lag, tickets)

    def _take_off(self) -> Leg:
        why = ""
        for pause in _PAUSES:
            up = Leg(self._session, self._plan.opening(next(self._numbers)))
            judgement = judge(up.report)
            why = judgement.detail
            if judgement.proof in _UNDER_WAY:
                return up
            if judgement.proof is not Proof.RETRY:
                break
            time.sleep(pause)
        raise Refused(f"the canary was not executed, nothing stands open: {why}")

    def _tickets(self, up: Leg) -> str:
        try:
            return self._session.call(TICKETS, TicketRequest(up.ticket, up.last.deals[0].ticket))
        except TerminalUnavailable:
            return "neither"

    def _land(self, up: Leg) -> _Landing | None:
        """Close what was opened and see that it is gone; None when nothing was executed."""
        patience = max(_LAST_LOOK_SECONDS, self._patience - up.age)
        up.wait(lambda: bool(up.last.position or up.last.order or up.last.working), patience)
        if up.last.working:
            self._cancel(up)
        position = up.last.position
        if position is not None:
            return self._close(up, position)
        if up.order is None or up.order.record.executed or up.last.deals:
            raise LeftOpen(self._unseen(up))
        return None

    def _cancel(self, up: Leg) -> None:
        """Cancel what has not been executed: a market order that waits may be executed at any time."""
        try:
            self._session.cancel(up.ticket, self._plan.order.symbol)
        except TerminalUnavailable as error:
            raise LeftOpen(self._unseen(up)) from error
        up.wait(lambda: up.last.order is not None, self._patience)

    def _close(self, up: Leg, position: BrokerPosition) -> _Landing:
        why = ""
        for pause in _PAUSES:
            down = Leg(self._session, self._plan.closing(position, next(self._numbers)))
            judgement = judge(down.report)
            why = judgement.detail
            if judgement.proof in _UNDER_WAY:
                left = self._left_of(up)
                if left is None:
                    return _Landing(down, self._closing_lag(down))
                if left.volume == position.volume:
                    break  # that order may still be executed: a second one could open a position of its own
                position = left
            time.sleep(pause)
        raise LeftOpen(self._still_open(position, why))

    def _left_of(self, up: Leg) -> BrokerPosition | None:
        """Wait for the position's end; return what is left of it when that does not come."""
        position = up.last.position
        gone = up.wait(lambda: not up.last.unreadable and up.last.position is None, self._patience)
        return None if gone else up.last.position or position

    def _closing_lag(self, down: Leg) -> float | None:
        gone_after = down.age
        down.wait(lambda: None not in (down.order, down.deals), self._patience)
        if down.order is None or down.deals is None:
            return None
        return max(gone_after, down.order.lag, down.deals.lag)

    def _still_open(self, position: BrokerPosition, why: str) -> str:
        return (
            f"THE CANARY'S POSITION IS STILL OPEN at {self._where}: position {position.ticket}, "
            f"{plain(position.volume)} lots of {position.symbol}, bought. Closing it failed: {why}. Close it by hand: "
            f"in the terminal, tab Trade, right click on position {position.ticket}, Close Position"
        )

    def _unseen(self, up: Leg) -> str:
        order = f"order {up.ticket}" if up.ticket else "an order that was not answered"
        return (
            f"A CANARY'S POSITION MAY BE OPEN at {self._where}: {order} to buy {plain(self._plan.order.lots)} lots of "
            f"{self._plan.order.symbol}, magic {up.sent.magic}, comment {up.sent.comment!r}; "
            f"{judge(up.report).detail}. Its position did not come into sight within {self._patience:g} s. Look in the "
            f"terminal, tabs Trade and History; cancel that order, or close its position, by hand"
        )

    @property
    def _where(self) -> str:
        return f"login {self._plan.order.login}, {self._plan.order.server}"


def _not_whole(up: Leg, patience: float) -> str:
    records: dict[str, object] = {"order": up.order, "deal": up.deals, "position": up.position}
    missing = ", ".join(name for name, sight in records.items() if sight is None)
    if up.order is not None and not up.order.record.executed:
        return (
            f"order {up.ticket} was accepted and never executed; it is over, nothing stands open, nothing was measured"
        )
    return (
        f"the terminal did not show all records of order {up.ticket} within {patience:g} s"
        f"{f' ({missing})' if missing else ''}. The position is closed again; nothing was measured"
    )
