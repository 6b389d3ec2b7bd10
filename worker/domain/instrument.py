"""A broker's instrument: how its lots, ticks and pips relate to the units that RPM approves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from enum import IntEnum, StrEnum

FLOAT_NOISE = Decimal("1e-9")  # relative; what `VOLUME_POLICY=exact` accepts of a float
_CURRENCY_CODES = (  # what is traded in pips: ISO 4217 without its codes for metals; CNH is offshore CNY
    "AED AUD BRL CAD CHF CLP CNH CNY COP CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KRW MXN MYR NOK NZD PEN PHP PLN QAR "
    "RON RUB SAR SEK SGD THB TRY TWD USD ZAR"
)
_CURRENCIES = frozenset(_CURRENCY_CODES.split())
_POINTS_PER_PIP = {
    2: 1,
    3: 10,
    4: 1,
    5: 10,
}  # by digits; facts of the FX market, never applied to anything else


_ONE = Decimal(1)


class TradeMode(IntEnum):
    """SYMBOL_TRADE_MODE_*: who may open what."""

    DISABLED = 0
    LONG_ONLY = 1
    SHORT_ONLY = 2
    CLOSE_ONLY = 3
    FULL = 4


class CalcMode(IntEnum):
    """SYMBOL_CALC_MODE_*: how MetaTrader calculates margin and profit."""

    FOREX = 0
    FUTURES = 1
    CFD = 2
    CFD_INDEX = 3
    CFD_LEVERAGE = 4
    FOREX_NO_LEVERAGE = 5
    EXCHANGE_STOCKS = 32
    EXCHANGE_FUTURES = 33
    EXCHANGE_OPTIONS = 34
    EXCHANGE_OPTIONS_MARGIN = 36
    EXCHANGE_BONDS = 37
    EXCHANGE_STOCKS_MOEX = 38
    EXCHANGE_BONDS_MOEX = 39
    COLLATERAL = 64


class VolumePolicy(StrEnum):
    """What to do with units that are no whole number of volume steps."""

    EXACT = "exact"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Instrument:
    """
    The broker's specification of one symbol, as MetaTrader's `symbol_info` gives it.

    Volumes in lots; `contract_size` in units of the base asset per lot; `point` and `tick_size` in price.
    `volume_limit` is for all orders and positions of one direction together, 0 = none: no single order may exceed it.
    """

    symbol: str
    base: str  # what a unit is one of: a currency, a metal, a coin
    profit: str  # the currency of its prices
    digits: int
    point: Decimal
    tick_size: Decimal
    contract_size: Decimal
    volume_min: Decimal
    volume_max: Decimal
    volume_step: Decimal
    volume_limit: Decimal
    trade_mode: int
    execution_mode: int
    filling_flags: int
    calc_mode: int

    @property
    def is_currency_pair(self) -> bool:
        """
        Tell whether the conventions of the currency market hold for this symbol.

        Brokers calculate metals, crypto and indices like currency pairs, too: a pair is two different currencies.
        """
        is_pair = {self.base, self.profit} <= _CURRENCIES and self.base != self.profit
        return is_pair and self.calc_mode in {CalcMode.FOREX, CalcMode.FOREX_NO_LEVERAGE}

    @property
    def least_steps(self) -> Decimal:
        """Return the smallest executable size in whole volume steps, which MetaTrader counts from zero."""
        return max(_ONE, (self.volume_min / self.volume_step).quantize(_ONE, rounding=ROUND_CEILING))

    @property
    def most_steps(self) -> Decimal:
        """Return the largest executable size in whole volume steps."""
        most = min(self.volume_max, self.volume_limit) if self.volume_limit > 0 else self.volume_max
        return (most / self.volume_step).quantize(_ONE, rounding=ROUND_DOWN)

    @property
    def is_executable(self) -> bool:
        """Tell whether any size lies between the limits."""
        return self.least_steps <= self.most_steps

    @property
    def minimum_units(self) -> Decimal:
        """Return the smallest executable size in units."""
        return self.least_steps * self.step_units

    @property
    def maximum_units(self) -> Decimal:
        """Return the largest executable size in units."""
        return self.most_steps * self.step_units

    @property
    def step_units(self) -> Decimal:
        """Return the size of one volume step in units."""
        return self.volume_step * self.contract_size

    @property
    def calculated_as(self) -> str:
        """Return the calculation mode in words."""
        return _words(CalcMode, self.calc_mode)

    @property
    def tradable(self) -> str:
        """Return the trade mode in words."""
        return _words(TradeMode, self.trade_mode)

    def units(self, lots: Decimal) -> Decimal:
        """Convert lots into units of the base asset."""
        return lots * self.contract_size

    def round_price(self, price: Decimal) -> Decimal:
        """Round a price to the nearest tick; the tick decides, even where it is finer than the digits shown."""
        return (price / self.tick_size).quantize(_ONE, rounding=ROUND_HALF_EVEN) * self.tick_size


def _words(modes: type[IntEnum], number: int) -> str:
    """Name a mode; one that MetaTrader adds some day goes by its number."""
    return next((mode.name.lower().replace("_", " ") for mode in modes if mode == number), str(number))


@dataclass(frozen=True, slots=True)
class VolumeRefusal:
    """Units that cannot be executed as approved, with the executable sizes next to them where there are any."""

    reason: str  # volume_not_representable | volume_out_of_range
    detail: str


def lots_for(
    units: Decimal, instrument: Instrument, policy: VolumePolicy, max_shortfall: Decimal
) -> Decimal | VolumeRefusal:
    """
    Convert approved units into lots on the instrument's step and within its limits, or say why that cannot be.

    `exact` takes only what is a whole number of steps, but for a relative noise of 1e-9; `floor` goes down to the
    step, by at most the relative `max_shortfall`. Never up: nobody approved more.
    """
    steps, least, most = units / instrument.step_units, instrument.least_steps, instrument.most_steps
    if steps >= most + 1:
        return _out_of_range(units, instrument)  # also what is too large to be rounded at all
    whole = _whole(steps, policy, max_shortfall)
    if whole is None and least < steps < most:
        return _not_representable(units, instrument)
    if whole is None or not least <= whole <= most:
        return _out_of_range(units, instrument)
    return (whole * instrument.volume_step).normalize() + 0


def _whole(steps: Decimal, policy: VolumePolicy, max_shortfall: Decimal) -> Decimal | None:
    nearest = steps.quantize(_ONE, rounding=ROUND_HALF_EVEN)
    if abs(steps - nearest) <= steps * FLOAT_NOISE:
        return nearest
    below = steps.quantize(_ONE, rounding=ROUND_DOWN)
    allowed = policy is VolumePolicy.FLOOR and steps - below <= steps * max_shortfall
    return below if allowed else None


def _not_representable(units: Decimal, instrument: Instrument) -> VolumeRefusal:
    below = (units / instrument.step_units).quantize(_ONE, rounding=ROUND_DOWN) * instrument.step_units
    return VolumeRefusal(
        "volume_not_representable",
        f"{_in_lots(units, instrument)}, which is not on the step of {plain(instrument.volume_step)} lots; executable "
        f"next to it: {plain(below)} and {plain(below + instrument.step_units)} units",
    )


def _out_of_range(units: Decimal, instrument: Instrument) -> VolumeRefusal:
    limit = f", at most {plain(instrument.volume_limit)} lots in all" if instrument.volume_limit > 0 else ""
    limits = f"({plain(instrument.volume_min)} to {plain(instrument.volume_max)} lots{limit})"
    if not instrument.is_executable:
        detail = f"no size of {instrument.symbol} can be executed: no volume step lies within the limits {limits}"
        return VolumeRefusal("volume_out_of_range", detail)
    span = f"{plain(instrument.minimum_units)} to {plain(instrument.maximum_units)} units"
    detail = f"{_in_lots(units, instrument)}; {instrument.symbol} takes {span} {limits}"
    return VolumeRefusal("volume_out_of_range", detail)


def _in_lots(units: Decimal, instrument: Instrument) -> str:
    return f"{plain(units)} units are {plain(units / instrument.contract_size)} lots"


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
    points = _POINTS_PER_PIP.get(instrument.digits) if instrument.is_currency_pair else None
    return None if points is None else points * instrument.point


def plain(number: Decimal) -> str:
    """Write a decimal the way people read it: no exponent, no trailing zeros, at most 10 decimals."""
    rounded = number.quantize(Decimal("1e-10")) if abs(number) < Decimal("1e15") else number
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
