"""Units become lots exactly, or are refused with the sizes that would have done."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.instrument import Instrument, VolumePolicy, VolumeRefusal, lots_for, pip_size, plain

NO_SHORTFALL = Decimal(0)


def eurusd(**changes: object) -> Instrument:
    fields: dict[str, object] = {
        "symbol": "EURUSD",
        "digits": 5,
        "point": Decimal("0.00001"),
        "tick_size": Decimal("0.00001"),
        "contract_size": Decimal(100_000),
        "volume_min": Decimal("0.01"),
        "volume_max": Decimal(500),
        "volume_step": Decimal("0.01"),
        "volume_limit": Decimal(0),
        "trade_mode": 4,
        "execution_mode": 2,
        "filling_flags": 3,
        "calc_mode": 0,
    }
    return Instrument(**(fields | changes))  # type: ignore[arg-type]


instruments = st.builds(
    lambda step, contract, steps: eurusd(
        volume_step=step, volume_min=step, volume_max=step * steps, contract_size=contract
    ),
    st.sampled_from([Decimal(text) for text in ("0.01", "0.1", "1", "0.001", "0.05", "10")]),
    st.sampled_from([Decimal(text) for text in ("1", "10", "100", "1000", "100000", "0.1")]),
    st.integers(10_000, 1_000_000),
)


@given(instruments, st.integers(1, 10_000))
def test_whole_steps_go_to_lots_and_back_without_loss(instrument: Instrument, steps: int) -> None:
    units = instrument.step_units * steps
    lots = lots_for(units, instrument, VolumePolicy.EXACT, NO_SHORTFALL)
    assert not isinstance(lots, VolumeRefusal)
    assert instrument.units(lots) == units


@given(instruments, st.decimals("0.0001", "5000", places=4))
def test_what_is_executed_is_never_more_than_was_approved(instrument: Instrument, lots: Decimal) -> None:
    units = lots * instrument.contract_size
    for policy in VolumePolicy:
        executable = lots_for(units, instrument, policy, Decimal("0.01"))
        if not isinstance(executable, VolumeRefusal):
            assert instrument.units(executable) <= units * (1 + Decimal("1e-9"))
            assert instrument.units(executable) >= units * Decimal("0.99") * (1 - Decimal("1e-9"))
            assert executable % instrument.volume_step == 0


@given(instruments, st.integers(1, 1000), st.decimals("-1e-9", "1e-9", places=12))
def test_the_noise_of_a_float_is_forgiven(instrument: Instrument, steps: int, noise: Decimal) -> None:
    approved = instrument.step_units * steps
    lots = lots_for(approved * (1 + noise / 2), instrument, VolumePolicy.EXACT, NO_SHORTFALL)
    assert lots == instrument.volume_step * steps


def test_the_refusal_names_the_sizes_on_both_sides() -> None:
    refusal = lots_for(Decimal(12_345), eurusd(), VolumePolicy.EXACT, NO_SHORTFALL)
    assert isinstance(refusal, VolumeRefusal)
    assert refusal.reason == "volume_not_representable"
    assert "12000 and 13000 units" in refusal.detail


@pytest.mark.parametrize("units", ["100", "999", "50000001000", "50000001"])
def test_sizes_outside_the_limits_are_refused(units: str) -> None:
    refusal = lots_for(Decimal(units), eurusd(), VolumePolicy.EXACT, NO_SHORTFALL)
    assert isinstance(refusal, VolumeRefusal)
    assert refusal.reason == "volume_out_of_range"
    assert "1000 to 50000000 units" in refusal.detail


def test_the_limit_of_all_volume_counts() -> None:
    refusal = lots_for(Decimal(300_000), eurusd(volume_limit=Decimal(2)), VolumePolicy.EXACT, NO_SHORTFALL)
    assert isinstance(refusal, VolumeRefusal)
    assert refusal.reason == "volume_out_of_range"


def test_floor_goes_down_by_no_more_than_the_allowed_shortfall() -> None:
    assert lots_for(Decimal(100_900), eurusd(), VolumePolicy.FLOOR, Decimal("0.01")) == Decimal(1)
    assert isinstance(lots_for(Decimal(1_900), eurusd(), VolumePolicy.FLOOR, Decimal("0.01")), VolumeRefusal)


@pytest.mark.parametrize(
    ("symbol", "digits", "calc_mode", "expected"),
    [
        ("EURUSD", 5, 0, "0.0001"),
        ("USDJPY", 3, 0, "0.01"),
        ("EURUSD", 4, 0, "0.0001"),
        ("USDJPY", 2, 0, "0.01"),
        ("EURUSD.partial", 5, 5, "0.0001"),
        ("XAUUSD", 2, 2, "0.1"),
        ("XAUUSD.slip", 2, 2, "0.1"),
        ("US500", 1, 3, None),
        ("EURUSD", 6, 0, None),
    ],
)
def test_a_pip_is_known_or_refused_never_guessed(
    symbol: str, digits: int, calc_mode: int, expected: str | None
) -> None:
    instrument = eurusd(symbol=symbol, digits=digits, point=Decimal(1).scaleb(-digits), calc_mode=calc_mode)
    pip = pip_size(instrument, symbol, {"XAUUSD": Decimal("0.1")})
    assert pip == (None if expected is None else Decimal(expected))


@given(st.decimals("0.00001", "200000", places=7))
def test_rounded_prices_lie_on_ticks(price: Decimal) -> None:
    instrument = eurusd(tick_size=Decimal("0.00005"))
    rounded = instrument.round_price(price)
    assert rounded % instrument.tick_size == 0
    assert abs(rounded - price) <= instrument.tick_size / 2


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=0, max_value=10**9))
def test_plain_numbers_read_back_as_themselves(number: Decimal) -> None:
    assert Decimal(plain(number)) == number
    assert "E" not in plain(number)
