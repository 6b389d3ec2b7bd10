"""MetaTrader at the Python prompt: plain synchronous calls for a person, past the ledger."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from worker.domain.errors import OutcomeUnknown, TerminalUnavailable
from worker.domain.instrument import Instrument, TradeMode, VolumePolicy, VolumeRefusal, lots_for, pip_size
from worker.domain.market import BrokerDeal, OrderRequest, OrderState, Quote, QuoteRequest, SendReport
from worker.domain.outcomes import Proof, judge
from worker.domain.token import ATTEMPT_BITS, COUNTER_BITS, comment_of
from worker.domain.trade import Direction
from worker.mt5.pool import MT5ConnectionPool
from worker.mt5.session import TerminalSession
from worker.mt5.wire import OrderStory
from worker.settings import KNOWN_PIP_SIZES, SEND_DEADLINE_SECONDS

MAX_SLIPPAGE_PIPS = Decimal(10)  # as the worker's setting of that name
_OUTSIDE_THE_LEDGER = 1 << (ATTEMPT_BITS + COUNTER_BITS)  # magics below it have the namespace 0, which no ledger has
_OPENS = {TradeMode.FULL, TradeMode.LONG_ONLY, TradeMode.SHORT_ONLY}


@dataclass(frozen=True, slots=True)
class MarketSnapshot:
    """The market of one symbol. Prices as quoted, the spread in pips, the time in UTC."""

    symbol: str
    bid_price: float
    ask_price: float
    mid_price: float
    spread_pips: float
    timestamp: datetime


class _CannotPlace(Exception):
    """Why an order is not placed, in words."""


class BrokerInterface:
    """
    A broker for scripts and the prompt. Numbers are plain floats here, and orders are not written to any ledger.

    `pip_sizes` adds to the known pips (in price) of symbols that are no currency pairs.
    """

    def __init__(
        self, connection_pool: MT5ConnectionPool, pip_sizes: Mapping[str, float | Decimal] | None = None
    ) -> None:
        self._pool = connection_pool
        given = {symbol: Decimal(str(size)) for symbol, size in (pip_sizes or {}).items()}
        self._pip_sizes = {**KNOWN_PIP_SIZES, **given}

    def connect(self) -> bool:
        """Open the terminal, waiting at most 10 s; True when an order could be sent now."""
        try:
            return self._pool.session().health().problem is None
        except TerminalUnavailable:
            return False

    def get_market_snapshot(self, symbol: str) -> MarketSnapshot | None:
        """Return the present market of a symbol; None without a sound price, a known pip or a terminal."""
        quote = self._quote(symbol)
        if quote is None or quote.instrument is None or quote.tick is None or quote.tick.bid <= 0:
            return None
        pip = pip_size(quote.instrument, symbol, self._pip_sizes)
        if pip is None:
            return None
        bid, ask = quote.tick.bid, quote.tick.ask
        timestamp = (quote.tick.time or quote.taken_at).astimezone(UTC)
        return MarketSnapshot(
            symbol, float(bid), float(ask), float((bid + ask) / 2), float((ask - bid) / pip), timestamp
        )

    def place_order(self, symbol: str, direction: int, units: float | Decimal) -> tuple[bool, str | None, str | None]:
        """
        Buy (`direction` 1) or sell (-1) this many units of the base asset at the market, at once and only once.

        Returns (True, order_id, None), or (False, None, why) when it is proved that nothing was executed. The units
        must be a whole number of volume steps. The fill may be 10 pips worse than the price at the call.
        Raises OutcomeUnknown when the answer does not prove what happened: look it up, do not send again.
        """
        try:
            session = self._pool.session()
            report, magic = self._submit(session, symbol, direction, units)
        except (_CannotPlace, TerminalUnavailable) as error:
            return False, None, str(error)
        return _verdict(report, magic)

    def get_order_status(self, order_id: str | int) -> dict[str, Any] | None:
        """
        Return an order's state, its filled lots and units, its average price and its deals.

        None when the terminal does not know the order or cannot be asked.
        """
        try:
            story = self._pool.session().order(int(order_id))
        except (TerminalUnavailable, ValueError):
            return None
        return None if story is None else _status(story)

    def get_available_margin(self) -> float | None:
        """Return the free margin in the account's currency; None when the terminal cannot be asked."""
        try:
            return float(self._pool.session().health().margin_free)
        except TerminalUnavailable:
            return None

    def is_symbol_tradable(self, symbol: str) -> bool:
        """Tell whether a position in this symbol could be opened now: terminal, account, symbol and price allow it."""
        quote = self._quote(symbol)
        if quote is None or quote.instrument is None or quote.tick is None:
            return False
        sound = 0 < quote.tick.bid < quote.tick.ask
        return quote.health.problem is None and quote.instrument.trade_mode in _OPENS and sound

    def _quote(self, symbol: str) -> Quote | None:
        try:
            return self._pool.session().quote(_question(symbol, Direction.LONG, Decimal(1)))
        except TerminalUnavailable:
            return None

    def _submit(
        self, session: TerminalSession, symbol: str, direction: int, units: float | Decimal
    ) -> tuple[SendReport, int]:
        side, size = _direction(direction), _units(units)
        quote = session.quote(_question(symbol, side, size))
        order = self._order(quote, symbol, side, size)
        return session.submit(order), order.magic

    def _order(self, quote: Quote, symbol: str, direction: Direction, units: Decimal) -> OrderRequest:
        instrument, touch = _instrument(quote, symbol), _touch(quote, symbol, direction)
        lots = lots_for(units, instrument, VolumePolicy.EXACT, Decimal(0))
        if isinstance(lots, VolumeRefusal):
            raise _CannotPlace(lots.detail)
        pip = pip_size(instrument, symbol, self._pip_sizes)
        if pip is None:
            raise _CannotPlace(f"the size of a pip of {symbol} is not known; pass it in pip_sizes")
        magic = 1 + secrets.randbelow(_OUTSIDE_THE_LEDGER - 1)
        return OrderRequest(
            symbol=symbol,
            direction=direction,
            lots=lots,
            magic=magic,
            comment=comment_of(magic),
            worst_price=touch + int(direction) * MAX_SLIPPAGE_PIPS * pip,
            send_before=datetime.now(UTC) + timedelta(seconds=SEND_DEADLINE_SECONDS),
            send_before_monotonic=time.monotonic() + SEND_DEADLINE_SECONDS,
            login=quote.health.login,
            server=quote.health.server,
        )


def _question(symbol: str, direction: Direction, units: Decimal) -> QuoteRequest:
    return QuoteRequest(symbol, direction, units, VolumePolicy.EXACT, Decimal(0))


def _direction(direction: int) -> Direction:
    try:
        return Direction(direction)
    except ValueError:
        raise _CannotPlace(f"the direction is 1 to buy or -1 to sell, not {direction!r}") from None


def _units(units: float | Decimal) -> Decimal:
    try:
        size = Decimal(str(units))
    except InvalidOperation:
        raise _CannotPlace(f"the units are a number, not {units!r}") from None
    if not size.is_finite() or size <= 0:
        raise _CannotPlace(f"the units must be more than 0, not {units!r}")
    return size


def _instrument(quote: Quote, symbol: str) -> Instrument:
    if quote.instrument is None:
        raise _CannotPlace(f"the broker has no symbol {symbol}")
    return quote.instrument


def _touch(quote: Quote, symbol: str, direction: Direction) -> Decimal:
    if quote.tick is None or not 0 < quote.tick.bid < quote.tick.ask:
        raise _CannotPlace(f"the terminal has no sound price for {symbol}")
    return quote.tick.touch(direction)


def _verdict(report: SendReport, magic: int) -> tuple[bool, str | None, str | None]:
    judgement = judge(report)
    if judgement.proof is Proof.ACCEPTED and report.order_ticket:
        return True, str(report.order_ticket), None
    if judgement.proof in {Proof.ACCEPTED, Proof.AMBIGUOUS}:
        raise OutcomeUnknown(
            f"the order may or may not have been executed: {judgement.detail}. Do not send it again; look for magic "
            f"{magic} (comment {comment_of(magic)}) among the terminal's orders, history and positions"
        )
    return False, None, judgement.detail


def _status(story: OrderStory) -> dict[str, Any]:
    order, (filled, price) = story.order, _filled(story.deals)
    return {
        "order_id": str(order.ticket),
        "symbol": order.symbol,
        "state": OrderState(order.state).name.lower(),
        "requested_lots": float(order.volume_initial),
        "filled_lots": float(filled),
        "filled_units": float(filled * story.contract_size),
        "fill_price": None if price is None else float(price),
        "position_id": str(order.position_id) if order.position_id else None,
        "placed_at": None if story.placed_at is None else story.placed_at.astimezone(UTC),
        "deals": [_deal(deal, story.contract_size) for deal in story.deals],
    }


def _filled(deals: Iterable[BrokerDeal]) -> tuple[Decimal, Decimal | None]:
    volume = value = Decimal(0)
    for deal in deals:
        volume, value = volume + deal.volume, value + deal.volume * deal.price
    return volume, value / volume if volume else None


def _deal(deal: BrokerDeal, contract_size: Decimal) -> dict[str, Any]:
    return {
        "deal_id": str(deal.ticket),
        "lots": float(deal.volume),
        "units": float(deal.volume * contract_size),
        "price": float(deal.price),
        "commission": float(deal.commission),
        "fee": float(deal.fee),
        "time": deal.time.astimezone(UTC),
    }
