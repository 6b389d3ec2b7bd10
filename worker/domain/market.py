"""What is asked of a terminal and what it answers: plain values, the same for every backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum

from worker.domain.instrument import Instrument, VolumePolicy
from worker.domain.token import namespace_of, trade_of
from worker.domain.trade import Direction


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the terminal could send an order now, and where it would go."""

    connected: bool
    trade_allowed: bool  # the terminal's own switch, the API switch and the account's switches together
    login: int
    server: str
    venue_mode: str  # simulated | demo | live
    account_mode: str  # netting | hedging
    margin_free: Decimal
    problem: str | None = None  # why nothing can be sent now, in words; None when all is well


@dataclass(frozen=True, slots=True)
class Tick:
    """The best prices of one symbol; `time` is UTC, None while the server's clock offset is not yet known."""

    bid: Decimal
    ask: Decimal
    time: datetime | None

    def touch(self, direction: Direction) -> Decimal:
        """Return the price at which an order in this direction would trade: ask to buy, bid to sell."""
        return self.ask if direction is Direction.LONG else self.bid


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """One coarse question about one trade: instrument, prices, margin and health in a single call."""

    symbol: str
    direction: Direction
    units: Decimal
    volume_policy: VolumePolicy
    max_volume_shortfall: Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """What the terminal says of a symbol; `None` where it said nothing."""

    health: Health
    instrument: Instrument | None
    tick: Tick | None
    margin_required: Decimal | None  # None also when the units have no executable volume
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One market order. The session reads a fresh touch itself, right before sending."""

    symbol: str
    direction: Direction
    lots: Decimal
    magic: int
    comment: str
    worst_price: Decimal  # first validation's touch plus MAX_SLIPPAGE_PIPS against us: beyond it nothing is sent
    send_before: datetime  # UTC; later than this nothing is sent
    send_before_monotonic: float  # the same instant on this machine's monotonic clock, in seconds
    login: int
    server: str
    closes: int = 0  # ticket of the position that this order closes; 0: it opens one, as all the worker's orders do


class SendStatus(StrEnum):
    """How far an order got."""

    NOT_SENT = "not_sent"  # proved: `order_send` was not called, or refused its arguments
    ANSWERED = "answered"  # `order_send` returned a result
    NO_ANSWER = "no_answer"  # the request may have left, nothing usable came back


class NotSentReason(StrEnum):
    """Why an order was not handed to the terminal."""

    PRICE_MOVED = "price_moved"
    NO_PRICE = "no_price"
    TERMINAL = "terminal"  # disconnected, logged out, trading not allowed, no session
    WRONG_ACCOUNT = "wrong_account"
    DEADLINE = "deadline"
    HALTED = "halted"  # after it was written ahead
    CHECK_FAILED = "check_failed"  # `order_check` refused; its code is in `retcode`
    INVALID_REQUEST = "invalid_request"  # the package refused an argument


@dataclass(frozen=True, slots=True)
class SendReport:
    """What is known after trying to send; everything raw goes to the audit trail."""

    status: SendStatus
    reason: NotSentReason | None = None
    retcode: int | None = None
    last_error: int | None = None
    order_ticket: int = 0
    deal_ticket: int = 0
    detail: str = ""
    request: Mapping[str, object] = field(default_factory=dict)  # as handed to `order_send`, JSON values
    reply: Mapping[str, object] | None = None
    sent_at: datetime | None = None  # right before `order_send`
    answered_at: datetime | None = None  # without an answer: when it was certain that nothing more is handed over


class OrderState(IntEnum):
    """ORDER_STATE_*."""

    STARTED = 0
    PLACED = 1
    CANCELED = 2
    PARTIAL = 3
    FILLED = 4
    REJECTED = 5
    EXPIRED = 6
    REQUEST_ADD = 7
    REQUEST_MODIFY = 8
    REQUEST_CANCEL = 9


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order as the terminal shows it, open or in history. Volumes in lots."""

    ticket: int
    magic: int
    symbol: str
    state: int
    volume_initial: Decimal
    volume_current: Decimal
    position_id: int
    comment: str
    historical: bool

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more can happen to it (but for a late deal)."""
        ended = {OrderState.CANCELED, OrderState.FILLED, OrderState.REJECTED, OrderState.EXPIRED}
        return self.historical and self.state in ended

    @property
    def has_effect(self) -> bool:
        """Tell whether something of it was executed, or may still be."""
        return not self.is_over or self.executed > 0

    @property
    def executed(self) -> Decimal:
        """Return the lots that the order says were executed; its deals say at what price."""
        return self.volume_initial - self.volume_current


@dataclass(frozen=True, slots=True)
class BrokerDeal:
    """One execution. Volume in lots, `time` in UTC, money in the account's currency."""

    ticket: int
    order: int
    magic: int
    position_id: int
    symbol: str
    volume: Decimal
    price: Decimal
    commission: Decimal
    fee: Decimal
    time: datetime
    comment: str


@dataclass(frozen=True, slots=True)
class PollRequest:
    """
    One look for all orders: what is open, what ended and what was dealt since, in these namespaces.

    The session reports each change once; `since` (UTC) bounds how far back it must look.
    """

    since: datetime
    namespaces: frozenset[int]


@dataclass(frozen=True, slots=True)
class Poll:
    """The news since the last poll. `readable` is False when any look-up failed: absence proves nothing then."""

    health: Health | None
    readable: bool
    orders: tuple[BrokerOrder, ...] = ()
    deals: tuple[BrokerDeal, ...] = ()
    detail: str = ""
    newest_deal: int | None = None  # highest ticket of all deals in the window, whoever's
    took: float = 0.0  # seconds of the terminal's own; what the poll has waited for its turn is not among them


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """An open position; `opened_by` is the ticket of the order that opened it. Volume in lots."""

    ticket: int
    opened_by: int
    magic: int
    symbol: str
    volume: Decimal
    comment: str


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """
    One search for everything that carries a token of these namespaces, and for what could hide such a thing.

    `since` (UTC) bounds how far back; the session adds a day on both sides. `trades` are the base tokens asked for;
    None asks for all. Each of `symbols` is looked up by its exact
    name: a look at everything may leave out what cannot be read, and proves nothing about a symbol. `witness` is the
    newest deal known of the account: a history that does not hold it is not whole. `senders` are the names of those
    terminals that are to look themselves, as far as they can now, whoever else does.
    """

    since: datetime
    namespaces: frozenset[int]
    symbols: frozenset[str] = frozenset()
    trades: frozenset[int] | None = None
    witness: int | None = None
    senders: frozenset[str] = frozenset()

    def asks_for(self, token: int) -> bool:
        """Tell whether what carries this token is to be told."""
        wanted = self.trades is None or trade_of(token) in self.trades
        return wanted and namespace_of(token) in self.namespaces


@dataclass(frozen=True, slots=True)
class Custody:
    """
    What a terminal may still hold of the requests that were handed to it.

    What it was given before `clean_since` (UTC, by its machine's clock) has been answered, or is gone with the process
    that had it; None when that is not known. A terminal that lives `in_session` is the session's own process: it takes
    one request at a time, and ends with it.
    """

    clean_since: datetime | None
    in_session: bool


@dataclass(frozen=True, slots=True)
class Search:
    """
    What one search has found, the whole of it each time.

    `readable` is False when the terminal is disconnected, is not the account's, failed to answer a look, or has a
    history that is not whole. `strangers` are deals of the asked symbols that carry nobody's mark: any of them might
    be an order of ours whose marks the broker has removed. `custody` tells of each terminal that sends orders of the
    account, by its name, what it may still hold; `away` are those of them that cannot be asked now, `looked_by` those
    whose own look this is.
    """

    readable: bool
    detail: str = ""  # why it is not readable
    unreadable_symbols: frozenset[str] = frozenset()
    orders: tuple[BrokerOrder, ...] = ()
    deals: tuple[BrokerDeal, ...] = ()
    positions: tuple[BrokerPosition, ...] = ()
    strangers: tuple[BrokerDeal, ...] = ()
    newest_deal: int | None = None  # highest ticket of all deals that were seen, whoever's
    lacks_witness: bool = False  # the only reason for not being readable: some deals are there, the witness is not
    custody: Mapping[str, Custody] = field(default_factory=dict)
    away: frozenset[str] = frozenset()
    looked_by: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CancelReport:
    """What the terminal answered to a cancel; the order's history decides, not this."""

    retcode: int | None
    last_error: int | None
    detail: str
    request: Mapping[str, object] = field(default_factory=dict)
    reply: Mapping[str, object] | None = None
