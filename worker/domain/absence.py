"""
Proof of absence: when it may be said that a send left nothing at the broker.

"Not found" is not proof: an order may show up late, a history may not be loaded yet, a frozen terminal may still let
the request go. A send is proved absent by looks that could have seen it and did not: at least two, both after the
horizon, by which it would have taken effect; further apart than the broker was ever seen to lag behind, by which what
took effect would have been shown; each without any hindrance; and one of them at least made by the very terminal that
was to send it, where that is one of the account's: another one may not have been told of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.domain.evidence import Evidence, token_of
from worker.domain.execution import Attempt, Execution
from worker.domain.market import BrokerDeal, BrokerOrder, BrokerPosition, Custody, Search
from worker.domain.token import trade_of

# By which a deal's time may precede the machine's time of the send that caused it: the server's offset is known in
# steps of 15 minutes, so a server clock that is up to half of that slow passes for a right one.
CLOCK_MARGIN = timedelta(minutes=10)
SENT_WITHIN = timedelta(seconds=10)  # after its write-ahead: later than this a send does not begin
# From the write-ahead to `order_send`: the same, and what may pass between the last look at it and the call.
HANDED_OVER_WITHIN = SENT_WITHIN + timedelta(seconds=10)
HOPELESS_AFTER_HORIZONS = 2.0  # of looks that cannot decide; then a person is told, while the search goes on
# For which terminals that cannot be asked need no person's decision yet: one that hangs is ended at its call's limit,
# and may take a minute to come up again.
UNREADABLE_SECONDS = 90.0
_UNDECIDED_LOOKS = 2
_WAS_THERE = {"accepted": "accepted", "found": "shown"}


@dataclass(slots=True)
class Absence:
    """
    The looks so far, on the monotonic clock (seconds): setting the machine's clock proves nothing.

    `sent_by` is the latest moment at which the send may have begun, `let_go_by` when it was first known that nobody
    holds the request any more. It may have left just before that, so `horizon` must have passed since the later one.
    """

    sent_by: float
    horizon: float
    let_go_by: float | None = None
    first_empty: float | None = None
    last_empty: float | None = None
    hindrance: str | None = "no look has been made yet"
    empty_looks: int = 0
    own_look: bool = False  # one of the empty ones was made by the terminal that was to send it, if that is to be had
    undecided_looks: int = 0  # after the horizon, of terminals that could be asked

    def note(  # noqa: PLR0913 - all that a look says of one attempt
        self,
        began: float,
        ended: float,
        hindrance: str | None,
        *,
        readable: bool = True,
        held: bool,
        own: bool = True,
    ) -> None:
        """
        Take a look into account; one that proves nothing starts the proof anew.

        `held` says that somebody may still have held the request when the look ended, `own` that the terminal which
        was to send it has looked itself.
        """
        self.hindrance = hindrance
        if self.let_go_by is None and not held:
            self.let_go_by = ended
        if hindrance is not None:
            self.first_empty = self.last_empty = None
            self.empty_looks, self.own_look = 0, False
            self.undecided_looks += readable and began > self.sent_by + self.horizon
            return
        if not self._counts(began):
            return
        self.first_empty = began if self.first_empty is None else self.first_empty
        self.last_empty = began
        self.empty_looks += 1
        self.own_look = self.own_look or own
        if not self.own_look:
            self.hindrance = "the terminal that was given the request has not looked itself"

    def wants_own_look(self, now: float) -> bool:
        """Tell whether a look that begins now should be made by the terminal that was to send it as well."""
        return not self.own_look and self._counts(now)

    def _counts(self, began: float) -> bool:
        """Tell whether all that was let go before had taken effect when this look began."""
        return self.let_go_by is not None and began > self._left_by + self.horizon

    @property
    def _left_by(self) -> float:
        """Return the latest moment, as far as is known, at which the request may have left the terminal."""
        return self.sent_by if self.let_go_by is None else max(self.sent_by, self.let_go_by)

    def is_proved(self, lag: float) -> bool:
        """Tell whether the looks prove it; `lag` is the broker's longest observed one, in seconds."""
        if self.first_empty is None or self.last_empty is None or not self.own_look:
            return False
        return self.last_empty - self.first_empty > lag

    def is_hopeless(self, now: float) -> bool:
        """Tell whether proof has been sought for so long that a person must be told."""
        sought = now - self._left_by  # a slow restart, which alone lets it go, leaves time enough for the proof
        undecidable = sought > HOPELESS_AFTER_HORIZONS * self.horizon
        if self.undecided_looks < _UNDECIDED_LOOKS:
            undecidable = undecidable and sought > UNREADABLE_SECONDS
        return self.hindrance is not None and undecidable


def hindrance(search: Search, execution: Execution, attempt: Attempt, seen: Evidence | None = None) -> str | None:
    """
    Tell why this search does not speak for the absence of an attempt; None when it does.

    `seen` is what any other look has shown of the trade: a search that shows less proves nothing.
    """
    symbol = execution.broker_symbol or execution.trade.decision.symbol
    if execution.deals:
        return f"{execution.executed_lots} lots of it are known to be executed"
    if attempt.outcome in _WAS_THERE:
        return f"the broker had {_WAS_THERE[attempt.outcome]} it"
    if not search.readable:
        return search.detail or "the terminal's records could not be read"
    if symbol in search.unreadable_symbols:
        return f"the terminal could not read its records of {symbol}"
    trace = _trace(search, execution) or _stranger(search, symbol, attempt)
    if trace is None and is_held(search, attempt):
        trace = "the terminal that was given the request has neither answered it nor been restarted since"
    return trace or ("another look has shown an order or a deal of it" if seen else None)


def _trace(search: Search, execution: Execution) -> str | None:
    traces: tuple[BrokerOrder | BrokerDeal | BrokerPosition, ...] = (*search.orders, *search.deals, *search.positions)
    for seen in traces:
        if trade_of(token_of(seen)) == execution.token:
            return f"{_KINDS[type(seen)]} {seen.ticket} carries its token"
    return None


def _stranger(search: Search, symbol: str, attempt: Attempt) -> str | None:
    since = None if attempt.written_at is None else attempt.written_at - CLOCK_MARGIN
    for deal in search.strangers:
        if deal.symbol == symbol and (since is None or deal.time >= since):
            return f"deal {deal.ticket} of {symbol} carries nobody's mark and may be it"
    return None


def is_own(search: Search, attempt: Attempt) -> bool:
    """Tell whether the terminal that was to send it has looked itself, or is none of the account's any more."""
    ours = search.custody.keys() | search.away
    return attempt.sender not in ours or attempt.sender in search.looked_by


def is_decisive(search: Search, attempt: Attempt) -> bool:
    """Tell whether all could be asked who can decide it: one that cannot now may do so when it is back."""
    return search.readable and attempt.sender not in search.away


def is_held(search: Search, attempt: Attempt) -> bool:
    """Tell whether its terminal may still hold the request, as it has neither answered it nor restarted since."""
    if attempt.retcode is not None:
        return False
    custody = None if attempt.sender is None else search.custody.get(attempt.sender)
    handed_over_by = None if custody is None else _handed_over_by(attempt, custody)
    if custody is None or custody.clean_since is None or handed_over_by is None:
        return True
    return custody.clean_since < handed_over_by


def _handed_over_by(attempt: Attempt, custody: Custody) -> datetime | None:
    """
    Return the latest moment at which its terminal may have been given the request.

    Where nobody lived to tell, that is some time after the write-ahead. A terminal in its session's process is left out
    of account: whatever that process was given before the present connection began, it has forgotten.
    """
    if attempt.answered_at is not None or attempt.written_at is None:
        return attempt.answered_at
    return attempt.written_at + (timedelta(0) if custody.in_session else HANDED_OVER_WITHIN)


_KINDS = {BrokerOrder: "order", BrokerDeal: "deal", BrokerPosition: "position"}
