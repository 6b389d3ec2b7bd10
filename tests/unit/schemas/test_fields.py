"""The kinds of values: what pydantic takes without asking us is what our own rule takes, told in the same words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.fields import NonNegativeNumber, Number, PositiveNumber, UtcTimestamp, _as_number

_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=3)
    | st.decimals()
    | st.just([1])
    | st.just({"a": 1})
)
_kinds: dict[str, tuple[TypeAdapter[Decimal], Callable[[Decimal], bool]]] = {
    "a number": (TypeAdapter(Number), lambda _number: True),
    "a number greater than 0": (TypeAdapter(PositiveNumber), lambda number: number > 0),
    "a number that is not negative": (TypeAdapter(NonNegativeNumber), lambda number: number >= 0),
}
_TIME: TypeAdapter[datetime] = TypeAdapter(UtcTimestamp)
_zones = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)


@pytest.mark.parametrize("expected", _kinds)
@given(value=_values)
@example(value=Decimal("sNaN"))
@example(value=Decimal("-0"))
@example(value=Decimal("1e999999"))
def test_a_number_is_an_exact_one_within_its_bounds(expected: str, value: object) -> None:
    kind, is_within = _kinds[expected]
    number = _as_number(value)

    if number is not None and is_within(number):
        read = kind.validate_python(value)
        assert (type(read), str(read)) == (Decimal, str(number))
    else:
        with pytest.raises(ValidationError) as refused:
            kind.validate_python(value)
        assert [problem["msg"] for problem in refused.value.errors()] == [f"must be {expected}"]


@given(st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)), st.none() | _zones)  # noqa: DTZ001 - with and without
def test_a_time_is_read_as_utc_or_converted_to_it(moment: datetime, zone: timezone | None) -> None:
    written = moment.replace(tzinfo=zone)

    read = _TIME.validate_python(written.isoformat())

    assert read == (moment.replace(tzinfo=UTC) if zone is None else written)
    assert read.tzinfo is UTC
