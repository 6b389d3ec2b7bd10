"""Whether a worker lives and is ready, by the beats of its event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from worker.monitoring.health import BEAT_SECONDS, STILL_SECONDS, Pulse, Vitals


class Time:
    """Monotonic seconds that a story moves on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_lives_until_it_has_stood_still_for_too_long() -> None:
    time = Time()
    pulse = Pulse(Vitals(()), time)

    time.now += STILL_SECONDS
    assert pulse.live().is_well
    assert pulse.ready().about == {"ready": True, "missing": []}
    time.now += 0.1

    assert pulse.live().about == {
        "live": False,
        "reason": "the event loop has stood still for 5.1 s: what holds it up holds up every trade",
    }
    assert pulse.ready().about == {"ready": False, "missing": ["the event loop stands still"]}
    assert pulse.lag == pytest.approx(STILL_SECONDS + 0.1 - BEAT_SECONDS)


def test_ready_is_whoever_lacks_nothing() -> None:
    pulse = Pulse(Vitals(("the worker is starting",)))
    assert pulse.ready().about == {"ready": False, "missing": ["the worker is starting"]}

    pulse.follow(lambda: Vitals(()))

    assert pulse.ready().is_well


def test_a_lease_runs_out_while_the_loop_stands_still() -> None:
    time = Time()
    pulse = Pulse(Vitals((), lease_left=4.0), time)

    time.now += 3.9
    assert pulse.lease_held
    time.now += 0.2

    assert not pulse.lease_held


async def test_each_beat_takes_the_vitals_and_a_late_one_is_remembered() -> None:
    time, taken = Time(), asyncio.Event()
    pulse = Pulse(Vitals(()), time)

    def take() -> Vitals:
        time.now += 3.0  # as if the loop had been busy since the beat
        taken.set()
        return Vitals(("a beat",))

    pulse.follow(take)
    taken.clear()
    beating = asyncio.create_task(pulse.run())
    await taken.wait()
    taken.clear()
    await taken.wait()
    beating.cancel()
    with suppress(asyncio.CancelledError):
        await beating

    assert pulse.vitals.missing == ("a beat",)
    assert pulse.lag >= 3.0 - BEAT_SECONDS
