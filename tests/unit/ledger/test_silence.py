"""A holder is silent when its counter was watched standing still for the lease time, not when nobody has looked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.ledger.silence import BLIND_SECONDS, Silence
from worker.settings import LEASE_SECONDS


@dataclass(slots=True)
class OwnClock:
    """A clock that is set by hand."""

    seconds: float = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 1, 5, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("looks", "silent"),
    [
        pytest.param([0, 1, 2, 3, 4, 4.9], False, id="not for long enough"),
        pytest.param([0, 1, 2, 3, 4, 5], True, id="for the whole lease"),
        pytest.param([0, 1, 600, 602, 604], False, id="away meanwhile: nobody knows"),
        pytest.param([0, 1, 600, 602, 604, 605], True, id="away meanwhile, and watched for long enough since"),
    ],
)
def test_only_what_was_watched_is_silence(looks: list[float], *, silent: bool) -> None:
    clock = OwnClock()
    silence = Silence(clock)

    def told(look: float) -> bool:
        clock.seconds = 1000 + look
        return silence.has_lasted(1, 1)

    assert [told(look) for look in looks][-1] is silent


@given(st.lists(st.tuples(st.floats(0.01, 10), st.booleans()), min_size=1, max_size=40))
def test_silence_means_looks_close_to_each_other_over_the_lease_time_that_saw_no_renewal(
    steps: list[tuple[float, bool]],
) -> None:
    clock, counter, watched_for = OwnClock(), 0, 0.0
    silence = Silence(clock)
    silence.has_lasted(1, counter)

    for pause, renewed in steps:
        clock.seconds += pause
        counter += renewed
        watched_for = 0.0 if renewed or pause > BLIND_SECONDS else watched_for + pause

        assert silence.has_lasted(1, counter) is (watched_for >= LEASE_SECONDS) or watched_for == pytest.approx(
            LEASE_SECONDS
        )
