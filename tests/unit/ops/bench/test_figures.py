"""Figures tell a median and a spread, claims whether they hold; nothing is told that was not measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.bench.figures import Figure, at_least, at_most, quantile

VALUES = st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=200)


@given(values=VALUES)
def test_a_median_lies_within_the_spread(values: list[float]) -> None:
    figure = Figure("throughput", "trades/s", values)

    assert figure.min <= figure.median <= figure.max


def test_what_was_never_measured_is_no_figure() -> None:
    with pytest.raises(ValueError, match="never measured"):
        Figure("throughput", "trades/s", [])
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)


@given(values=VALUES, share=st.floats(min_value=0, max_value=1))
def test_a_quantile_is_one_of_the_values_and_as_many_as_asked_do_not_exceed_it(
    values: list[float], share: float
) -> None:
    found = quantile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


def test_p99_of_a_hundred_is_the_worst_and_of_a_thousand_the_tenth_worst() -> None:
    assert quantile(range(100), 0.99) == 99
    assert quantile(range(1000), 0.99) == 990


def test_a_claim_that_is_just_met_holds_and_one_just_missed_does_not() -> None:
    assert at_least("of the bare loop", 0.5, 0.5).holds
    assert not at_least("of the bare loop", 0.4999, 0.5).holds
    assert at_most("of the floor", 2.0, 2).holds
    assert not at_most("of the floor", 2.0001, 2).holds


def test_a_claim_just_missed_does_not_look_as_if_it_were_met() -> None:
    missed = at_least("of the bare loop", 0.4999, 0.5)

    assert missed.measured != "0.50"
