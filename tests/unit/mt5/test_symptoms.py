"""What speaks for a terminal that hangs, and how often it may be restarted at most."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.mt5.symptoms import Symptoms

MINUTE = 60.0


class Watch:
    """A monotonic clock that a story winds on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def symptoms(watch: Watch) -> Symptoms:
    return Symptoms(can_restart=True, monotonic=watch)


@pytest.mark.parametrize("command", ["submit", "cancel", "open"])
def test_an_order_or_a_connection_that_hung_speaks_for_a_restart_at_once(command: str) -> None:
    sick = symptoms(Watch())
    sick.hung(command)
    assert sick.restart()
    assert not sick.restart()


QUESTIONS = ["search", "poll", "quote", "standing"]


@pytest.mark.parametrize("command", QUESTIONS)
def test_a_question_that_took_too_long_now_and_then_is_no_reason_when_the_next_connection_answers(command: str) -> None:
    watch = Watch()
    sick = symptoms(watch)
    for number in range(100):
        sick.hung(command)
        assert not sick.restart()
        watch.seconds += 20
        sick.answered("open")  # to the child that came after
        if number % 4 == 3:
            sick.answered(command)
    assert sick.restarts == 0


@pytest.mark.parametrize("command", QUESTIONS)
def test_one_that_lets_itself_be_connected_to_and_hangs_over_a_question_each_time_is_restarted(command: str) -> None:
    watch, hangs_before = Watch(), list[int]()
    sick = symptoms(watch)
    for number in range(1, 200):
        watch.seconds += 10
        sick.hung(command)
        if sick.restart():
            hangs_before.append(number)
        watch.seconds += 2
        for other in ("open", "health"):
            sick.answered(other)

    # Then after the fifth time, and again as the pauses allow: 1, 2, 4 ... minutes at least
    assert hangs_before == [5, 10, 20, 40, 80, 160]


def test_a_question_that_hung_and_a_minute_without_a_connection_after_it_are_reason_enough() -> None:
    watch = Watch()
    sick = symptoms(watch)
    sick.hung("poll")
    watch.seconds += 61  # the package has waited for the terminal
    sick.not_reached()
    assert sick.restart()


def test_a_terminal_that_updates_itself_is_given_a_minute_to_come_up() -> None:
    watch = Watch()
    sick = symptoms(watch)
    for _ in range(12):
        sick.not_reached()
        assert not sick.are_enough
        watch.seconds += 5
    sick.not_reached()
    assert sick.are_enough


def test_the_pauses_between_restarts_grow_up_to_half_an_hour() -> None:
    # Given a terminal that hangs over every order
    watch, at = Watch(), list[float]()
    sick = symptoms(watch)
    while len(at) < 9:
        sick.hung("submit")
        if sick.restart():
            at.append(watch.seconds)
        watch.seconds += 1

    pauses = [after - before for before, after in itertools.pairwise(at)]
    assert pauses == [minutes * MINUTE for minutes in (1, 2, 4, 8, 16, 30, 30, 30)]

    # When it has been well for a day, it is restarted at once, and soon again
    watch.seconds += 1440 * MINUTE
    for _ in range(2):
        sick.hung("submit")
        assert sick.restart()
        watch.seconds += MINUTE


def test_one_that_is_not_to_be_restarted_never_is() -> None:
    sick = Symptoms(can_restart=False)
    sick.hung("submit")
    assert not sick.are_enough
    assert not sick.restart()


@given(st.lists(st.tuples(st.sampled_from(["submit", "poll", "search", "unreached", "well"]), st.integers(0, 300))))
def test_whatever_happens_two_restarts_are_a_minute_apart(story: list[tuple[str, int]]) -> None:
    watch, restarted_at = Watch(), float("-inf")
    sick = symptoms(watch)
    for happened, seconds in story:
        watch.seconds += seconds
        if happened == "well":
            sick.answered("poll")
        elif happened == "unreached":
            sick.not_reached()
        else:
            sick.hung(happened)
        if sick.restart():
            assert watch.seconds - restarted_at >= MINUTE
            restarted_at = watch.seconds
