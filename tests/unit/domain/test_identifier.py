"""Ids of executions."""

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122

from hypothesis import given
from hypothesis import strategies as st

from worker.domain.identifier import identifier

MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis takes naive bounds


@given(MOMENTS)
def test_it_is_a_uuid_of_version_7_that_tells_its_millisecond(at: datetime) -> None:
    made = identifier(at)

    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == int(at.timestamp() * 1000)


@given(MOMENTS, st.integers(1, 10**9))
def test_later_ones_come_later(at: datetime, milliseconds: int) -> None:
    # Two milliseconds at least: a time in seconds is a float, and may fall short of its millisecond.
    assert identifier(at) < identifier(at + timedelta(milliseconds=milliseconds + 1))


def test_those_of_one_moment_differ() -> None:
    at = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    assert len({identifier(at) for _ in range(10_000)}) == 10_000
