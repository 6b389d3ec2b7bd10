"""A broker's instrument: how its lots, ticks and pips relate to the units that RPM approves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from enum import IntEnum, StrEnum

FLOAT_NOISE = Decimal("1e-9")  # contract section 7: relative noise of a float that `exact` accepts
_FOREX_CALC_MODES = frozenset({0, 5})  # SYMBOL_CALC_MODE_FOREX, SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE
_POINTS_PER_PIP = {
    2: 1,
    3: 10,
    4: 1,
    5: 10,
}  # by digits; facts of the FX market, never applied to anything else


class TradeMode(IntEnum):
    """SYMBOL_TRADE_MODE_*: who may open what."""

    DISABLED = 0
    LONG_ONLY = 1
    SHORT_ONLY = 2
    CLOSE_ONLY = 3
    FULL = 4


class VolumePolicy(StrEnum):
    """What to do with units that are no whole number of volume steps."""

    EXACT = "exact"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Instrument:
    """
    The broker's specification of one symbol, as MetaTrader's `symbol_info` gives it.

    Volumes in lots; `contract_size` in units of the base asset per lot; `point` and `tick_size` in price.
    """

    symbol: str
    digits: int
    point: Decimal
    tick_size: Decimal
    contract_size: Decimal
    volume_min: Decimal
    volume_max: Decimal
    volume_step: Decimal
    volume_limit: Decimal  # 0 = none
    trade_mode: int
    execution_mode: int
    filling_flags: int
    calc_mode: int

    @property
    def is_forex(self) -> bool:
        """Tell whether MetaTrader calculates this symbol as a currency pair."""
        return self.calc_mode in _FOREX_CALC_MODES

    @property
    def minimum_units(self) -> Decimal:
        """Return the smallest tradable size in units."""
        return self.volume_min * self.contract_size

    @property
    def maximum_units(self) -> Decimal:
        """Return the largest tradable size in units."""
        return self.volume_max * self.contract_size

    @property
    def step_units(self) -> Decimal:
        """Return the size of one volume step in units."""
        return self.volume_step * self.contract_size

    def units(self, lots: Decimal) -> Decimal:
        """Convert lots into units of the base asset."""
        return lots * self.contract_size

    def round_price(self, price: Decimal) -> Decimal:
        """Round a price to the nearest tick."""
        ticks = (price / self.tick_size).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
        return (ticks * self.tick_size).quantize(self.point)


@dataclass(frozen=True, slots=True)
class VolumeRefusal:
    """Units that cannot be executed as approved, with the executable sizes next to them where there are any."""

    reason: str  # volume_not_representable | volume_out_of_range
    detail: str


def lots_for(
    units: Decimal, instrument: Instrument, policy: VolumePolicy, max_shortfall: Decimal
) -> Decimal | VolumeRefusal:
    """
    Convert approved units into lots on the instrument's step, or say why that cannot be.

    `exact` takes only what is a whole number of steps, but for a relative noise of 1e-9; `floor` goes down to the
    step, by at most the relative `max_shortfall`. Never up: nobody approved more.
    """
    steps = units / instrument.step_units
    nearest = steps.quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    if nearest > 0 and abs(steps - nearest) <= steps * FLOAT_NOISE:
        return _within_range(nearest * instrument.volume_step, units, instrument)
    whole = steps.quantize(Decimal(1), rounding=ROUND_DOWN)
    if policy is VolumePolicy.FLOOR and whole > 0 and steps - whole <= steps * max_shortfall:
        return _within_range(whole * instrument.volume_step, units, instrument)
    if units < instrument.minimum_units or units > instrument.maximum_units:
        return _out_of_range(units, instrument)
    return VolumeRefusal(
        "volume_not_representable",
        f"{plain(units)} units are {plain(units / instrument.contract_size)} lots, which is not on the step of "
        f"{plain(instrument.volume_step)} lots; executable next to it: {plain(whole * instrument.step_units)} and "
        f"{plain((whole + 1) * instrument.step_units)} units",
    )


def _within_range(lots: Decimal, units: Decimal, instrument: Instrument) -> Decimal | VolumeRefusal:
    too_much_in_all = instrument.volume_limit > 0 and lots > instrument.volume_limit
    if lots < instrument.volume_min or lots > instrument.volume_max or too_much_in_all:
        return _out_of_range(units, instrument)
    return lots.normalize() + 0


def _out_of_range(units: Decimal, instrument: Instrument) -> VolumeRefusal:
    limit = f", at most {plain(instrument.volume_limit)} lots in all" if instrument.volume_limit > 0 else ""
    return VolumeRefusal(
        "volume_out_of_range",
        f"{plain(units)} units are {plain(units / instrument.contract_size)} lots; {instrument.symbol} takes "
        f"{plain(instrument.minimum_units)} to {plain(instrument.maximum_units)} units "
        f"({plain(instrument.volume_min)} to {plain(instrument.volume_max)} lots{limit})",
    )


def by_symbol(table: Mapping[str, Decimal], *names: str) -> Decimal | None:
    """
    Find a per-symbol setting under the first of the names that has one.

    A name stands for itself first, then for the part before its first dot: brokers append `.r`, `.pro` and the like
    to one and the same instrument.
    """
    for name in names:
        for key in (name, name.partition(".")[0]):
            if key in table:
                return table[key]
    return None


def pip_size(instrument: Instrument, rpm_symbol: str, table: Mapping[str, Decimal]) -> Decimal | None:
    """
    Return one pip in price: the table's entry, else the currency market's convention, else None (never a guess).

    A pip is 10 points on pairs quoted with 3 or 5 digits and 1 point on those with 2 or 4.
    """
    listed = by_symbol(table, rpm_symbol, instrument.symbol)
    if listed is not None:
        return listed
    points = _POINTS_PER_PIP.get(instrument.digits) if instrument.is_forex else None
    return None if points is None else points * instrument.point


def plain(number: Decimal) -> str:
    """Write a decimal the way people read it: no exponent, no trailing zeros, at most 10 decimals."""
    rounded = number.quantize(Decimal("1e-10")) if abs(number) < Decimal("1e15") else number
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
