"""
The checks before every send, in their order; the first that fails decides.

Each check is a function of the same `Situation` and returns a `Refusal` or None. Those of `BEFORE_THE_MARKET` need no
terminal; those of `AT_THE_MARKET` need a quote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property

from worker.domain.execution import Execution
from worker.domain.halts import Halt
from worker.domain.instrument import (
    Instrument,
    TradeMode,
    VolumePolicy,
    VolumeRefusal,
    by_symbol,
    lots_for,
    pip_size,
    plain,
)
from worker.domain.market import Quote, Tick
from worker.domain.slippage import adverse_pips
from worker.domain.trade import Direction

CLOCK_TOLERANCE = timedelta(seconds=5)  # by which RPM's clock may be ahead of the worker's

_OPENS = {
    Direction.LONG: frozenset({TradeMode.FULL, TradeMode.LONG_ONLY}),
    Direction.SHORT: frozenset({TradeMode.FULL, TradeMode.SHORT_ONLY}),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The desk's limits, from the settings. Pips of the symbol, seconds; 0 seconds of trade age = no limit."""

    max_slippage_pips: Decimal
    max_slippage_pips_by_symbol: Mapping[str, Decimal] = field(default_factory=dict)
    pip_sizes: Mapping[str, Decimal] = field(default_factory=dict)
    min_margin_cushion: Decimal = Decimal("1.5")
    max_trade_age: timedelta = timedelta(seconds=60)
    max_tick_age: timedelta = timedelta(seconds=30)
    volume_policy: VolumePolicy = VolumePolicy.EXACT
    max_volume_shortfall: Decimal = Decimal("0.01")
    max_lots: Decimal = Decimal(0)  # an order; 0 = no limit, also for a symbol
    max_lots_by_symbol: Mapping[str, Decimal] = field(default_factory=dict)

    def slippage_limit(self, *symbols: str) -> Decimal:
        """Return the slippage allowed for the first of these names that has an entry, in pips."""
        listed = by_symbol(self.max_slippage_pips_by_symbol, *symbols)
        return self.max_slippage_pips if listed is None else listed

    def lots_limit(self, *symbols: str) -> tuple[Decimal, str]:
        """Return the lots allowed in one order (0 = any number) by the symbol's own limit, else the general one."""
        listed = by_symbol(self.max_lots_by_symbol, *symbols)
        if listed is None:
            return self.max_lots, "MAX_LOTS_PER_ORDER"
        return listed, "MAX_LOTS_PER_ORDER_BY_SYMBOL"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a trade is not sent: the confirmation's status and reason, and a sentence with the figures."""

    status: str  # rejected | expired
    reason: str
    detail: str


@dataclass(frozen=True)  # without slots: what several checks need is worked out once
class Situation:
    """All that a check may look at."""

    execution: Execution
    limits: Limits
    now: datetime
    halt: Halt | None = None  # an operator's, of the account or the symbol
    waited_for_terminal: str | None = None  # what the terminal's problem was while the trade waited
    quote: Quote | None = None
    known_since: datetime | None = None  # when the ledger was found to be a copy that may have lost some of its past

    @property
    def direction(self) -> Direction:
        """Return the trade's direction."""
        return self.execution.trade.decision.direction

    @property
    def units(self) -> Decimal:
        """Return the approved units."""
        return self.execution.trade.decision.units or Decimal(0)

    @cached_property
    def lots(self) -> Decimal | VolumeRefusal:
        """Return the approved units in lots, or why they cannot be executed."""
        limits = self.limits
        return lots_for(self.units, _instrument(self), limits.volume_policy, limits.max_volume_shortfall)

    @cached_property
    def pip(self) -> Decimal | None:
        """Return one pip in price; None when it is not known."""
        return pip_size(_instrument(self), self.execution.trade.decision.symbol, self.limits.pip_sizes)


@dataclass(frozen=True, slots=True)
class Measures:
    """What the passed checks have established: everything a send needs. Prices, pips, lots as decimals."""

    instrument: Instrument
    tick: Tick
    touch: Decimal
    lots: Decimal
    pip: Decimal
    max_slippage_pips: Decimal


Check = Callable[[Situation], Refusal | None]


def first_refusal(checks: tuple[Check, ...], situation: Situation) -> Refusal | None:
    """Return the first refusal in order, or None when every check passes."""
    return next((refusal for check in checks if (refusal := check(situation)) is not None), None)


def measure(situation: Situation) -> Measures:
    """Return what the checks have established; call it after all of them have passed."""
    quote, names = _quote(situation), _names(situation)
    lots, pip = situation.lots, situation.pip
    if quote.tick is None or isinstance(lots, VolumeRefusal) or pip is None:
        raise ValueError("measure() was called although a check had failed")
    touch = quote.tick.touch(situation.direction)
    return Measures(_instrument(situation), quote.tick, touch, lots, pip, situation.limits.slippage_limit(*names))


def _rejected(reason: str, detail: str) -> Refusal:
    return Refusal("rejected", reason, detail)


def _rpm_approved_it(situation: Situation) -> Refusal | None:
    rejection = situation.execution.trade.rpm_rejection
    return None if rejection is None else _rejected("rpm_rejected", f"RPM rejected this trade: {rejection}")


def _nobody_halted(situation: Situation) -> Refusal | None:
    rpm_halt, halt = situation.execution.trade.rpm_halt, situation.halt
    if rpm_halt is not None:
        return _rejected("trading_halted", rpm_halt)
    return None if halt is None or halt.hold else _rejected("trading_halted", str(halt))


def too_old(execution: Execution, limits: Limits, now: datetime) -> str | None:
    """Tell in words that an approval is older than allowed; None when it is not, or an operator has allowed it."""
    limit, age = limits.max_trade_age, now - execution.trade.decision.approved_at
    if execution.stale_allowed or not limit or age <= limit:
        return None
    return f"the approval is {age.total_seconds():.1f} s old, the limit is {limit.total_seconds():g} s"


def perhaps_forgotten(approved_at: datetime, known_since: datetime | None) -> str | None:
    """Tell in words that the lost part of a restored ledger may have executed what was approved then; None if not."""
    if known_since is None or approved_at > known_since + CLOCK_TOLERANCE:
        return None
    return (
        f"was approved before {known_since:%Y-%m-%d %H:%M:%S} UTC, when the ledger was found to be another copy, "
        "which may have lost that it was executed (compare with the broker)"
    )


def _not_forgotten(situation: Situation) -> Refusal | None:
    """Refuse what the lost part of a restored ledger may have executed: to the copy it looks new."""
    why = perhaps_forgotten(situation.execution.trade.decision.approved_at, situation.known_since)
    if why is None or situation.execution.stale_allowed:
        return None
    return Refusal("expired", "approval_expired", f"it {why}; what is still wanted is approved anew")


def _young_enough(situation: Situation) -> Refusal | None:
    ages = too_old(situation.execution, situation.limits, situation.now)
    if ages is None:
        return None
    if situation.waited_for_terminal is not None:
        return Refusal(
            "expired", "terminal_unavailable", f"{ages}; it waited for the terminal: {situation.waited_for_terminal}"
        )
    held = "" if situation.halt is None else f"; it was kept waiting: {situation.halt}"
    return Refusal("expired", "approval_expired", ages + held)


def _symbol_exists(situation: Situation) -> Refusal | None:
    if _quote(situation).instrument is None:
        name = situation.execution.broker_symbol
        return _rejected(
            "unknown_symbol", f"the broker has no symbol {name}; SYMBOL_MAP maps RPM's names to the broker's"
        )
    return None


def _tradable_in_this_direction(situation: Situation) -> Refusal | None:
    instrument = _instrument(situation)
    if instrument.trade_mode in _OPENS[situation.direction]:
        return None
    return _rejected(
        "symbol_not_tradable",
        f"{instrument.symbol} is {instrument.tradable} at this broker: "
        f"a {situation.direction.name.lower()} trade cannot be opened",
    )


def _market_data_is_sound(situation: Situation) -> Refusal | None:
    instrument, tick = _instrument(situation), _quote(situation).tick
    if tick is None:
        return _rejected("no_market_data", f"the terminal has no price for {instrument.symbol}")
    if tick.bid <= 0 or tick.ask <= tick.bid:
        return _rejected(
            "invalid_market_data", f"{instrument.symbol} is quoted bid {plain(tick.bid)}, ask {plain(tick.ask)}"
        )
    return _fresh(situation, tick)


def _fresh(situation: Situation, tick: Tick) -> Refusal | None:
    limit = situation.limits.max_tick_age
    if tick.time is None:
        return _rejected("stale_tick", "no price of this symbol has been seen to change since the terminal was started")
    age = _quote(situation).taken_at - tick.time
    if age > limit:
        return _rejected(
            "stale_tick", f"the last price is {age.total_seconds():.1f} s old, the limit is {limit.total_seconds():g} s"
        )
    return None


def _spread_is_narrow(situation: Situation) -> Refusal | None:
    instrument, tick = _instrument(situation), _tick(situation)
    pip = situation.pip
    if pip is None:
        return _rejected(
            "invalid_market_data", f"the size of a pip of {instrument.symbol} is not known; add it to PIP_SIZES"
        )
    spread, limit = (tick.ask - tick.bid) / pip, situation.limits.slippage_limit(*_names(situation))
    if spread > limit:
        return _rejected(
            "spread_too_wide",
            f"the spread is {plain(spread.quantize(Decimal('0.01')))} pips, the limit is {plain(limit)}",
        )
    return None


def _volume_is_executable(situation: Situation) -> Refusal | None:
    lots = situation.lots
    return _rejected(lots.reason, lots.detail) if isinstance(lots, VolumeRefusal) else None


def _within_the_lots_limit(situation: Situation) -> Refusal | None:
    lots, (limit, setting) = situation.lots, situation.limits.lots_limit(*_names(situation))
    if isinstance(lots, VolumeRefusal) or not limit or lots <= limit:
        return None
    size = f"{plain(lots)} lots of {_instrument(situation).symbol}"
    return _rejected("limit_exceeded", f"{size}, {setting} allows {plain(limit)}")


def _margin_is_sufficient(situation: Situation) -> Refusal | None:
    quote, cushion = _quote(situation), situation.limits.min_margin_cushion
    if quote.margin_required is None:
        return _rejected("margin_insufficient", "the terminal could not calculate the margin of this order")
    needed = quote.margin_required * cushion
    if quote.health.margin_free < needed:
        return _rejected(
            "margin_insufficient",
            f"free margin {plain(quote.health.margin_free)}, "
            f"needed {plain(quote.margin_required)} x {plain(cushion)} = {plain(needed)}",
        )
    return None


def _price_has_not_moved(situation: Situation) -> Refusal | None:
    first = situation.execution.first_touch
    if first is None:
        return None  # this is the first validation
    measures = measure(situation)
    moved = adverse_pips(situation.direction, first, measures.touch, measures.pip)
    if moved > measures.max_slippage_pips:
        return _rejected(
            "price_moved",
            f"the price has moved {plain(moved.quantize(Decimal('0.01')))} pips against us since the first validation "
            f"({plain(first)} to {plain(measures.touch)}), the limit is {plain(measures.max_slippage_pips)}",
        )
    return None


def _quote(situation: Situation) -> Quote:
    if situation.quote is None:
        raise ValueError("a market check needs a quote")
    return situation.quote


def _instrument(situation: Situation) -> Instrument:
    instrument = _quote(situation).instrument
    if instrument is None:
        raise ValueError("the symbol's existence is checked first")
    return instrument


def _tick(situation: Situation) -> Tick:
    tick = _quote(situation).tick
    if tick is None:
        raise ValueError("the tick's presence is checked first")
    return tick


def _names(situation: Situation) -> tuple[str, str]:
    return situation.execution.trade.decision.symbol, _instrument(situation).symbol


BEFORE_THE_MARKET: tuple[Check, ...] = (_rpm_approved_it, _nobody_halted, _not_forgotten, _young_enough)
AT_THE_MARKET: tuple[Check, ...] = (
    _symbol_exists,
    _tradable_in_this_direction,
    _market_data_is_sound,
    _spread_is_narrow,
    _volume_is_executable,
    _within_the_lots_limit,
    _margin_is_sufficient,
    _price_has_not_moved,
)
