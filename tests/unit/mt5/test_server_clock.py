"""The server's clock is learnt from prices that are seen to change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.mt5.server_clock import ServerClock

NOW = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)
OFFSETS = st.integers(-48, 56).map(lambda quarters: quarters * timedelta(minutes=15))
DELAYS = st.integers(0, 50).map(lambda tenths: tenths * timedelta(milliseconds=100))


def server_time(moment: datetime, offset: timedelta) -> int:
    """Return what the server writes for a moment: its wall clock as an epoch, in milliseconds."""
    return round((moment + offset).timestamp() * 1000)


def show_changes(  # noqa: PLR0913 - each story names only what it is about
    clock: ServerClock,
    offset: timedelta,
    *,
    count: int = 3,
    at: datetime = NOW,
    symbol: str = "EURUSD",
    delay: timedelta = timedelta(0),
    apart: timedelta = timedelta(seconds=1),
) -> datetime:
    """Let a symbol be seen `count` times, each time with a new price that was quoted `delay` ago."""
    for number in range(count):
        moment = at + number * apart
        clock.observe(symbol, server_time(moment - delay, offset), moment)
    return at + count * apart


@given(OFFSETS, DELAYS)
def test_two_changes_that_agree_tell_the_offset(offset: timedelta, delay: timedelta) -> None:
    clock = ServerClock()
    show_changes(clock, offset, delay=delay)
    assert clock.offset == offset


@given(OFFSETS, st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_times_are_converted_back(offset: timedelta, naive: datetime) -> None:
    moment = naive.replace(microsecond=naive.microsecond // 1000 * 1000, tzinfo=UTC)
    clock = ServerClock()
    show_changes(clock, offset)
    assert clock.to_utc(server_time(moment, offset), moment) == moment


def test_before_that_nothing_is_known() -> None:
    clock = ServerClock()
    assert clock.offset is None
    assert clock.to_utc(0, NOW) is None


def test_one_change_is_not_enough() -> None:
    """After a reconnect the first change may be an old price that comes in late."""
    clock = ServerClock()
    show_changes(clock, timedelta(hours=2), count=2)
    assert clock.offset is None


def test_a_price_that_does_not_change_tells_nothing() -> None:
    clock = ServerClock()
    for seconds in range(10):
        clock.observe("EURUSD", server_time(NOW, timedelta(hours=2)), NOW + timedelta(seconds=seconds))
    assert clock.offset is None


def test_a_change_that_was_not_watched_tells_nothing() -> None:
    clock = ServerClock()
    show_changes(clock, timedelta(hours=2), count=5, apart=timedelta(minutes=5))
    assert clock.offset is None


def test_absurd_differences_tell_nothing() -> None:
    """A price of last Friday that is refreshed on Saturday is no measurement."""
    clock = ServerClock()
    show_changes(clock, timedelta(hours=2), count=5, delay=timedelta(hours=30))
    assert clock.offset is None


@given(st.sampled_from([timedelta(hours=1), timedelta(hours=-1)]))
def test_a_change_of_daylight_saving_is_adopted(shift: timedelta) -> None:
    clock = ServerClock()
    later = show_changes(clock, timedelta(hours=2))
    show_changes(clock, timedelta(hours=2) + shift, at=later)
    assert clock.offset == timedelta(hours=2) + shift


def test_a_price_older_than_the_one_before_it_tells_that_the_clocks_were_put_back() -> None:
    """Whatever other symbols said a moment ago; until two changes agree again, nothing is known."""
    clock = ServerClock()
    show_changes(clock, timedelta(hours=3), symbol="GBPUSD")
    later = show_changes(clock, timedelta(hours=3), symbol="EURUSD")
    show_changes(clock, timedelta(hours=2), symbol="EURUSD", at=later, count=1)
    assert clock.offset is None
    show_changes(clock, timedelta(hours=2), symbol="EURUSD", at=later + timedelta(seconds=1))
    assert clock.offset == timedelta(hours=2)


@pytest.mark.parametrize(
    ("symbol", "shift"),
    [("EURUSD", timedelta(hours=1)), ("EURUSD", timedelta(hours=-1)), ("BTCUSD", timedelta(hours=1))],
)
@given(minutes_before=st.integers(0, 50), minutes_after=st.integers(0, 50))
def test_what_was_written_before_the_change_is_read_by_the_clock_of_its_time(
    symbol: str, shift: timedelta, minutes_before: int, minutes_after: int
) -> None:
    clock, old, new = ServerClock(), timedelta(hours=2), timedelta(hours=2) + shift
    change = show_changes(clock, old)
    now = show_changes(clock, new, at=change, count=4, symbol=symbol) + timedelta(minutes=minutes_after)

    before = NOW - timedelta(minutes=minutes_before)
    assert clock.to_utc(server_time(before, old), now - timedelta(minutes=minutes_after)) == before
    for moment in (change, now):
        assert clock.to_utc(server_time(moment, new), now) == moment


@given(OFFSETS, st.integers(0, 24 * 60))
def test_nothing_is_read_as_a_moment_to_come(offset: timedelta, minutes: int) -> None:
    clock = ServerClock()
    show_changes(clock, offset)
    assert clock.to_utc(server_time(NOW + timedelta(minutes=minutes), offset), NOW) == NOW


def test_old_times_are_read_by_the_corrected_clock() -> None:
    """A delayed feed was believed first: there was no change of the server's clock between it and the live one."""
    clock, yesterday = ServerClock(), NOW - timedelta(days=1)
    later = show_changes(clock, timedelta(hours=2), symbol="DELAYED", delay=timedelta(minutes=15))
    later = show_changes(clock, timedelta(hours=2), symbol="EURUSD", at=later)
    assert clock.to_utc(server_time(yesterday, timedelta(hours=2)), later) == yesterday


def test_clocks_put_back_are_believed_of_one_symbol_when_the_others_have_been_silent() -> None:
    clock = ServerClock()
    show_changes(clock, timedelta(hours=3), symbol="EURUSD")
    show_changes(clock, timedelta(hours=2), symbol="BTCUSD", at=NOW + timedelta(minutes=20))
    assert clock.offset == timedelta(hours=2)


@given(st.integers(1, 20).map(lambda quarters: quarters * timedelta(minutes=15)))
def test_a_delayed_feed_does_not_move_the_clock(delay: timedelta) -> None:
    clock = ServerClock()
    later = show_changes(clock, timedelta(hours=2), symbol="EURUSD")
    show_changes(clock, timedelta(hours=2), symbol="DELAYED", at=later, delay=delay)
    assert clock.offset == timedelta(hours=2)


def test_a_live_feed_corrects_what_a_delayed_one_said() -> None:
    clock = ServerClock()
    later = show_changes(clock, timedelta(hours=2), symbol="DELAYED", delay=timedelta(minutes=15))
    assert clock.offset == timedelta(hours=1, minutes=45)
    show_changes(clock, timedelta(hours=2), symbol="EURUSD", at=later)
    assert clock.offset == timedelta(hours=2)


@given(OFFSETS, st.integers(-400, 400).map(lambda s: timedelta(seconds=s)), st.integers(0, 3600))
def test_a_history_window_holds_all_that_happened_since(offset: timedelta, wrong: timedelta, age: int) -> None:
    """Also when the clocks of the server and of this machine differ by some minutes."""
    clock = ServerClock()
    now = show_changes(clock, offset + wrong)
    since = now - timedelta(seconds=age)
    begin, end = clock.window(since, now)
    assert begin <= server_time(since, offset + wrong) / 1000
    assert end >= server_time(now, offset + wrong) / 1000 + 3600


@given(OFFSETS)
def test_a_window_before_the_clock_is_known_holds_every_zone(offset: timedelta) -> None:
    begin, end = ServerClock().window(NOW, NOW)
    assert begin <= server_time(NOW, offset) / 1000 <= end
