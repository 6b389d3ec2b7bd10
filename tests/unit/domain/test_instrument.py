"""Units become lots exactly, or are refused with the sizes that would have done."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from worker.domain.instrument import Instrument, VolumePolicy, VolumeRefusal, lots_for, pip_size, plain

NO_SHORTFALL = Decimal(0)
SHORTFALL = Decimal("0.01")
NOISE = Decimal("1e-9")


def eurusd(**changes: object) -> Instrument:
    fields: dict[str, object] = {
        "symbol": "EURUSD",
        "base": "EUR",
        "profit": "USD",
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


def decimals(*texts: str) -> st.SearchStrategy[Decimal]:
    return st.sampled_from([Decimal(text) for text in texts])


steps = decimals("0.01", "0.1", "1", "0.001", "0.05", "0.03", "10")
contracts = decimals("1", "10", "100", "1000", "100000", "0.1")
instruments = st.builds(
    lambda step, contract, least, span: eurusd(
        volume_step=step, volume_min=step * least, volume_max=step * (least + span), contract_size=contract
    ),
    steps,
    contracts,
    st.integers(1, 10),
    st.integers(10_000, 1_000_000),
)
odd_instruments = st.builds(
    lambda step, contract, least, most, limit: eurusd(
        volume_step=step, volume_min=least, volume_max=most, volume_limit=limit, contract_size=contract
    ),
    steps,
    contracts,
    decimals("0", "0.01", "0.02", "0.05", "0.1", "1", "0.007"),
    decimals("0.1", "1", "7.77", "50", "100"),
    decimals("0", "0", "0.5", "2", "200"),
)
sizes = st.one_of(
    st.decimals("0.0001", "150", places=4),
    st.decimals("0.000001", "1e15", allow_nan=False, allow_infinity=False),
    decimals("1e-300", "1e29", "1e300"),
)


@given(instruments, st.integers(10, 10_000), st.sampled_from(VolumePolicy))
def test_whole_steps_go_to_lots_and_back_without_loss(
    instrument: Instrument, number: int, policy: VolumePolicy
) -> None:
    units = instrument.step_units * number
    lots = lots_for(units, instrument, policy, SHORTFALL)
    assert not isinstance(lots, VolumeRefusal)
    assert instrument.units(lots) == units


@given(instruments, st.decimals("0.0001", "5000", places=4))
def test_what_is_executed_is_never_more_than_was_approved(instrument: Instrument, lots: Decimal) -> None:
    units = lots * instrument.contract_size
    for policy in VolumePolicy:
        executable = lots_for(units, instrument, policy, SHORTFALL)
        if not isinstance(executable, VolumeRefusal):
            assert instrument.units(executable) <= units * (1 + NOISE)
            assert instrument.units(executable) >= units * (1 - SHORTFALL) * (1 - NOISE)
            assert executable % instrument.volume_step == 0


@given(instruments, st.integers(10, 1000), st.decimals("-1e-9", "1e-9", places=12))
def test_the_noise_of_a_float_is_forgiven(instrument: Instrument, number: int, noise: Decimal) -> None:
    approved = instrument.step_units * number
    lots = lots_for(approved * (1 + noise / 2), instrument, VolumePolicy.EXACT, NO_SHORTFALL)
    assert lots == instrument.volume_step * number


@given(instruments, st.integers(10, 100_000))
def test_a_size_that_was_a_float_on_its_way_is_the_size_that_was_meant(instrument: Instrument, number: int) -> None:
    assume(instrument.volume_step * number <= instrument.volume_max)
    meant = instrument.step_units * number
    computed = Decimal(repr(float(instrument.volume_step) * number * float(instrument.contract_size)))
    lots = lots_for(computed, instrument, VolumePolicy.EXACT, NO_SHORTFALL)
    assert not isinstance(lots, VolumeRefusal)
    assert instrument.units(lots) == meant


@given(odd_instruments, sizes, st.sampled_from(VolumePolicy))
def test_whatever_is_accepted_is_within_every_limit_of_the_broker(
    instrument: Instrument, lots: Decimal, policy: VolumePolicy
) -> None:
    executable = lots_for(lots * instrument.contract_size, instrument, policy, SHORTFALL)
    if not isinstance(executable, VolumeRefusal):
        assert max(instrument.volume_min, instrument.volume_step) <= executable <= instrument.volume_max
        assert executable % instrument.volume_step == 0
        assert instrument.volume_limit == 0 or executable <= instrument.volume_limit


@given(odd_instruments, sizes, st.sampled_from(VolumePolicy))
def test_every_size_that_a_refusal_names_can_be_executed(
    instrument: Instrument, lots: Decimal, policy: VolumePolicy
) -> None:
    units = lots * instrument.contract_size
    refusal = lots_for(units, instrument, policy, SHORTFALL)
    assume(isinstance(refusal, VolumeRefusal))
    assert isinstance(refusal, VolumeRefusal)
    for size in named_sizes(refusal):
        assert lots_for(size, instrument, policy, SHORTFALL) == size / instrument.contract_size
    if refusal.reason == "volume_not_representable":
        below, above = named_sizes(refusal)
        assert below < units < above
        assert above - below == instrument.step_units


@given(odd_instruments, st.sampled_from(VolumePolicy))
def test_the_least_and_the_most_are_executable_themselves_and_one_step_further_is_not(
    instrument: Instrument, policy: VolumePolicy
) -> None:
    least, most, step = instrument.minimum_units, instrument.maximum_units, instrument.step_units
    assume(instrument.is_executable)
    for size in (least, most):
        assert lots_for(size, instrument, policy, SHORTFALL) == size / instrument.contract_size
    for size in (least - step, most + step):
        assert size <= 0 or isinstance(lots_for(size, instrument, policy, SHORTFALL), VolumeRefusal)


def named_sizes(refusal: VolumeRefusal) -> list[Decimal]:
    found = re.search(r"(?:executable next to it: |takes )([\d.]+) (?:and|to) ([\d.]+) units", refusal.detail)
    return [Decimal(size) for size in found.groups()] if found else []


def test_the_refusal_names_the_sizes_on_both_sides() -> None:
    refusal = lots_for(Decimal(12_345), eurusd(), VolumePolicy.EXACT, NO_SHORTFALL)
    assert isinstance(refusal, VolumeRefusal)
    assert refusal.reason == "volume_not_representable"
    assert "12000 and 13000 units" in refusal.detail


@pytest.mark.parametrize("units", ["100", "999", "50000001000", "50000001", "1e300"])
def test_sizes_outside_the_limits_are_refused(units: str) -> None:
    refusal = lots_for(Decimal(units), eurusd(), VolumePolicy.EXACT, NO_SHORTFALL)
    assert isinstance(refusal, VolumeRefusal)
    assert refusal.reason == "volume_out_of_range"
    assert "1000 to 50000000 units" in refusal.detail


@pytest.mark.parametrize("units", ["1000", "50000000"])
def test_the_limits_themselves_are_inside(units: str) -> None:
    assert not isinstance(lots_for(Decimal(units), eurusd(), VolumePolicy.EXACT, NO_SHORTFALL), VolumeRefusal)


def of_kind(calc_mode: int, contract: str, step: str, tick: str) -> Instrument:
    volume = Decimal(step)
    return eurusd(
        calc_mode=calc_mode,
        contract_size=Decimal(contract),
        volume_min=volume,
        volume_step=volume,
        tick_size=Decimal(tick),
    )


@pytest.mark.parametrize(
    ("instrument", "units", "lots", "price", "on_tick"),
    [
        pytest.param(of_kind(0, "100000", "0.01", "0.00001"), "123000", "1.23", "1.0849949", "1.08499", id="pair"),
        pytest.param(of_kind(4, "100", "0.01", "0.01"), "250", "2.5", "2400.004", "2400", id="gold"),
        pytest.param(of_kind(0, "5000", "0.1", "0.005"), "12500", "2.5", "28.4137", "28.415", id="silver"),
        pytest.param(of_kind(3, "10", "0.1", "0.25"), "25", "2.5", "5200.13", "5200.25", id="index"),
        pytest.param(of_kind(33, "50", "1", "0.25"), "100", "2", "5200.12", "5200", id="future"),
        pytest.param(of_kind(2, "1", "0.001", "0.01"), "0.125", "0.125", "65000.005", "65000", id="coin"),
        pytest.param(of_kind(2, "0.1", "1", "0.05"), "0.3", "3", "3200.08", "3200.1", id="tenth of a coin"),
    ],
)
def test_each_kind_of_instrument_has_lots_and_ticks_of_its_own(
    instrument: Instrument, units: str, lots: str, price: str, on_tick: str
) -> None:
    assert lots_for(Decimal(units), instrument, VolumePolicy.EXACT, NO_SHORTFALL) == Decimal(lots)
    assert instrument.round_price(Decimal(price)) == Decimal(on_tick)


def test_the_limit_of_all_volume_counts() -> None:
    limited = eurusd(volume_limit=Decimal(2))
    assert lots_for(Decimal(200_000), limited, VolumePolicy.EXACT, NO_SHORTFALL) == Decimal(2)
    refusal = lots_for(Decimal(201_000), limited, VolumePolicy.EXACT, NO_SHORTFALL)
    assert isinstance(refusal, VolumeRefusal)
    assert refusal.reason == "volume_out_of_range"
    assert "1000 to 200000 units" in refusal.detail


def test_a_least_volume_between_two_steps_is_raised_to_the_next_step() -> None:
    odd = eurusd(volume_min=Decimal("0.05"), volume_step=Decimal("0.1"))
    assert odd.minimum_units == 10_000


def test_limits_that_leave_no_step_say_so() -> None:
    nothing = eurusd(volume_min=Decimal("0.11"), volume_max=Decimal("0.19"), volume_step=Decimal("0.1"))
    refusal = lots_for(Decimal(15_000), nothing, VolumePolicy.EXACT, NO_SHORTFALL)
    assert not nothing.is_executable
    assert isinstance(refusal, VolumeRefusal)
    assert refusal.reason == "volume_out_of_range"
    assert "no size of EURUSD can be executed" in refusal.detail


def test_floor_goes_down_by_no_more_than_the_allowed_shortfall() -> None:
    assert lots_for(Decimal(100_900), eurusd(), VolumePolicy.FLOOR, SHORTFALL) == Decimal(1)
    assert isinstance(lots_for(Decimal(1_900), eurusd(), VolumePolicy.FLOOR, SHORTFALL), VolumeRefusal)


@pytest.mark.parametrize(
    ("symbol", "currencies", "digits", "calc_mode", "expected"),
    [
        ("EURUSD", "EUR/USD", 5, 0, "0.0001"),
        ("USDJPY", "USD/JPY", 3, 0, "0.01"),
        ("EURUSD", "EUR/USD", 4, 0, "0.0001"),
        ("USDJPY", "USD/JPY", 2, 0, "0.01"),
        ("EURUSD.partial", "EUR/USD", 5, 5, "0.0001"),
        ("EURUSDm", "EUR/USD", 5, 0, "0.0001"),
        ("XAUUSD", "XAU/USD", 2, 2, "0.1"),
        ("XAUUSD.slip", "XAU/USD", 2, 0, "0.1"),
        ("XAGUSD", "XAG/USD", 3, 0, None),
        ("LTCUSD", "LTC/USD", 2, 0, None),
        ("US500", "USD/USD", 1, 3, None),
        ("US500", "USD/USD", 2, 0, None),
        ("EURUSD", "EUR/USD", 6, 0, None),
        ("EURUSD", "EUR/USD", 1, 0, None),
    ],
)
def test_a_pip_is_known_or_refused_never_guessed(
    symbol: str, currencies: str, digits: int, calc_mode: int, expected: str | None
) -> None:
    base, profit = currencies.split("/")
    point = Decimal(1).scaleb(-digits)
    instrument = eurusd(symbol=symbol, base=base, profit=profit, digits=digits, point=point, calc_mode=calc_mode)
    pip = pip_size(instrument, symbol, {"XAUUSD": Decimal("0.1")})
    assert pip == (None if expected is None else Decimal(expected))


def test_the_pip_of_a_renamed_symbol_is_found_under_either_name() -> None:
    gold = eurusd(symbol="GOLD.r", base="XAU", digits=2, point=Decimal("0.01"), calc_mode=4)
    assert pip_size(gold, "XAUUSD", {"XAUUSD": Decimal("0.1")}) == Decimal("0.1")
    assert pip_size(gold, "XAUUSD", {"GOLD": Decimal("0.2")}) == Decimal("0.2")
    assert pip_size(gold, "XAUUSD", {"GOLD.r": Decimal("0.3"), "GOLD": Decimal("0.2")}) == Decimal("0.3")
    assert pip_size(gold, "XAUUSD", {"SILVER": Decimal("0.01")}) is None


@given(
    st.decimals("0.00001", "200000", places=7),
    decimals("0.00001", "0.00005", "0.01", "0.05", "0.25", "0.5", "1", "5", "0.03125"),
    st.integers(0, 5),
)
def test_rounded_prices_lie_on_the_nearest_tick(price: Decimal, tick: Decimal, digits: int) -> None:
    instrument = eurusd(tick_size=tick, digits=digits, point=Decimal(1).scaleb(-digits))
    rounded = instrument.round_price(price)
    assert rounded % tick == 0
    assert abs(rounded - price) <= tick / 2
    assert instrument.round_price(rounded) == rounded


@given(decimals("0.00001", "0.00005", "0.01", "0.05", "0.25", "0.1"), st.integers(1, 10_000_000))
def test_a_price_on_a_tick_survives_the_way_through_a_float(tick: Decimal, number: int) -> None:
    instrument = eurusd(tick_size=tick)
    price = tick * number
    assert instrument.round_price(Decimal(repr(float(price)))) == price


@pytest.mark.parametrize(
    ("calc_mode", "words"), [(0, "forex"), (3, "cfd index"), (4, "cfd leverage"), (33, "exchange futures"), (99, "99")]
)
def test_the_way_of_calculating_is_put_in_words(calc_mode: int, words: str) -> None:
    assert eurusd(calc_mode=calc_mode).calculated_as == words


@pytest.mark.parametrize(("trade_mode", "words"), [(4, "full"), (3, "close only"), (0, "disabled"), (9, "9")])
def test_what_may_be_traded_is_put_in_words(trade_mode: int, words: str) -> None:
    assert eurusd(trade_mode=trade_mode).tradable == words


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=0, max_value=10**9))
def test_plain_numbers_read_back_as_themselves(number: Decimal) -> None:
    assert Decimal(plain(number)) == number
    assert "E" not in plain(number)
