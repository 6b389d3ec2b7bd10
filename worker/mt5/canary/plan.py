"""Before a canary: what it is going to do, and every reason not to do it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from worker.domain.errors import NotFound, Refused
from worker.domain.instrument import Instrument, TradeMode, VolumePolicy, plain
from worker.domain.market import BrokerPosition, OrderRequest, Quote, QuoteRequest, Tick
from worker.domain.outcomes import judge_retcode
from worker.domain.token import CANARY_NAMESPACE, COUNTER_BITS, attempt_token, base_token, comment_of, trade_of
from worker.domain.trade import Direction
from worker.mt5.canary.questions import SURVEY, Survey
from worker.mt5.session import TerminalSession
from worker.mt5.wire import VenueFacts
from worker.settings import SEND_DEADLINE_SECONDS

LIQUID = ("EURUSD", "GBPUSD", "USDJPY")  # tried in this order when no symbol is named
_PRICE_WITHIN_SECONDS = 20.0  # for a price to move, which tells the server's clock
_BETWEEN_QUOTES = 0.1  # seconds
_WORST_OPENING = Decimal("0.001")  # of the price, against us; a canary's price hardly matters
_WORST_CLOSING = Decimal("0.02")  # of the price: that it is closed matters more
_FILLER = "-canary-678901"  # after the token's 15 characters: up to the 29 that the package takes
_PASSED, _WRONG_FILLING = 0, 10030
_CAN_OPEN = frozenset({TradeMode.FULL, TradeMode.LONG_ONLY})


@dataclass(frozen=True, slots=True)
class Plan:
    """A canary that may start: where, with what, and what is known before."""

    venue: VenueFacts
    instrument: Instrument
    tick: Tick
    order: OrderRequest
    survey: Survey
    clock_offset: float  # server time minus UTC, in seconds

    @property
    def words(self) -> str:
        """Say what is going to be done."""
        venue, spread = self.venue.venue, self.tick.ask - self.tick.bid
        cost = plain(spread * self.instrument.units(self.order.lots))
        return (
            f"login {venue.login} at {venue.server} ({venue.mode}, {self.venue.account_mode}): buy "
            f"{plain(self.order.lots)} lots of {self.order.symbol} at about {plain(self.tick.ask)} and close exactly "
            f"that position again, at once. It costs the spread (now {cost} in the currency of the price) and the "
            f"broker's commission. No ledger takes it for a trade, and no trade is decided by it"
        )

    def opening(self, number: int) -> OrderRequest:
        """Return the order that opens the position; it must leave within a short time from now."""
        return _stamped(self.order, number)

    def closing(self, position: BrokerPosition, number: int) -> OrderRequest:
        """Return the order that closes what there is of the position."""
        worst = self.tick.bid * (1 - _WORST_CLOSING)
        order = replace(self.order, direction=Direction.SHORT, lots=position.volume, worst_price=worst)
        return _stamped(replace(order, closes=position.ticket), number)


def prepare(
    session: TerminalSession, venue: VenueFacts, symbols: Sequence[str], max_tick_age: timedelta, *, live: bool
) -> Plan:
    """
    Return the plan for the first of these symbols (broker's names) that there is, or say why there can be none.

    Nothing is sent. Raises Refused, NotFound, TerminalUnavailable. `live` allows an account with real money.
    """
    _may_trade(session, venue, live=live)
    instrument = _instrument(session, symbols)
    tick = _fresh_tick(session, instrument, max_tick_age)
    order = _order(venue, instrument, tick)
    survey = session.call(SURVEY, order)
    _may_open(survey, venue, instrument)
    if survey.clock_offset is None:
        raise Refused("the server's clock was just put back and is measured anew: try again in a minute")
    return Plan(venue, instrument, tick, order, survey, survey.clock_offset)


def _may_trade(session: TerminalSession, venue: VenueFacts, *, live: bool) -> None:
    health = session.health()
    if health.problem is not None:
        raise Refused(f"nothing can be sent now: {health.problem}")
    if health.venue_mode == "live" and not live:
        raise Refused(
            f"login {venue.venue.login} at {venue.venue.server} is a LIVE account: a canary would trade real money. "
            "Run it on a demo account of the same broker; if it must be this one, say --live-account-really"
        )


def _instrument(session: TerminalSession, symbols: Sequence[str]) -> Instrument:
    found = {instrument.symbol: instrument for instrument in session.instruments(tuple(symbols))}
    chosen = next((found[symbol] for symbol in symbols if symbol in found), None) or _suffixed(session, symbols)
    if chosen is None:
        raise NotFound(f"the broker has no symbol {' or '.join(symbols)}: name one with --symbol")
    if chosen.trade_mode not in _CAN_OPEN:
        mode = TradeMode(chosen.trade_mode).name.lower().replace("_", " ")
        raise Refused(f"{chosen.symbol} cannot be bought on this account ({mode}): choose another --symbol")
    return chosen


def _suffixed(session: TerminalSession, symbols: Sequence[str]) -> Instrument | None:
    """Find a symbol under the broker's own ending, such as EURUSD.r; only where the choice is ours."""
    if len(symbols) == 1:
        return None
    shown = session.instruments()
    return next((one for symbol in symbols for one in shown if one.symbol.startswith(symbol)), None)


def _fresh_tick(session: TerminalSession, instrument: Instrument, max_age: timedelta) -> Tick:
    """Wait until the server's clock is known, for a history window depends on it; refuse an old or unsound price."""
    give_up_at = time.monotonic() + _PRICE_WITHIN_SECONDS
    quote = _quote(session, instrument)
    while (quote.tick is None or quote.tick.time is None) and time.monotonic() < give_up_at:
        time.sleep(_BETWEEN_QUOTES)
        quote = _quote(session, instrument)
    tick, closed = quote.tick, f"the market of {instrument.symbol} is closed, or has no feed"
    if tick is None or tick.time is None:
        raise Refused(f"{closed}: no price has moved within {_PRICE_WITHIN_SECONDS:g} s. Nothing was sent")
    if quote.taken_at - tick.time > max_age:
        age = (quote.taken_at - tick.time).total_seconds()
        raise Refused(f"{closed}: its last price is {age:.0f} s old. Nothing was sent")
    if not 0 < tick.bid < tick.ask:
        raise Refused(f"the price of {instrument.symbol} is unsound: bid {plain(tick.bid)}, ask {plain(tick.ask)}")
    return tick


def _quote(session: TerminalSession, instrument: Instrument) -> Quote:
    units = instrument.minimum_units
    return session.quote(QuoteRequest(instrument.symbol, Direction.LONG, units, VolumePolicy.EXACT, Decimal(0)))


def _order(venue: VenueFacts, instrument: Instrument, tick: Tick) -> OrderRequest:
    """Return the order with a token as wide as a trade's, but in no ledger's namespace."""
    return _stamped(
        OrderRequest(
            symbol=instrument.symbol,
            direction=Direction.LONG,
            lots=instrument.volume_min,
            magic=base_token(CANARY_NAMESPACE, secrets.randbelow(1 << COUNTER_BITS)),
            comment="",
            worst_price=tick.ask * (1 + _WORST_OPENING),
            send_before=datetime.now(UTC),
            send_before_monotonic=0,
            login=venue.venue.login,
            server=venue.venue.server,
        ),
        1,
    )


def _stamped(order: OrderRequest, number: int) -> OrderRequest:
    """Return it as the canary's order of that number, to be sent at once."""
    magic = attempt_token(trade_of(order.magic), number)
    return replace(
        order,
        magic=magic,
        comment=f"{comment_of(magic)}{_FILLER}",
        send_before=datetime.now(UTC) + timedelta(seconds=SEND_DEADLINE_SECONDS),
        send_before_monotonic=time.monotonic() + SEND_DEADLINE_SECONDS,
    )


def _may_open(survey: Survey, venue: VenueFacts, instrument: Instrument) -> None:
    if _PASSED not in survey.checks.values():
        # A filling mode that is not to be had says nothing of the market: it comes last.
        codes = sorted(
            (code for code in survey.checks.values() if code is not None), key=lambda code: code == _WRONG_FILLING
        )
        words = judge_retcode(codes[0]).detail if codes else "no answer"
        raise Refused(f"order_check refuses to buy {instrument.symbol}: {words}. Nothing was sent")
    if venue.account_mode == "netting" and (survey.positions or survey.orders):
        raise Refused(
            f"the account is netting and has an open position or order in {instrument.symbol}, which a canary would "
            "change: choose another --symbol, or close it first"
        )
