"""Storms: everything breaks while trades of all behaviours are under way, and each of them ends as it should, once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.services import Services
from tests.faults.ends import BEHAVIOURS
from tests.faults.plan import TRADES, plan
from tests.faults.quakes import COME_OF_AGE_SECONDS, Quakes
from tests.faults.storm import Births
from tests.faults.storms import Ground, Tally, ground, side_by_side

logging.getLogger("pika").setLevel(logging.CRITICAL)  # outages are what this is about


@pytest.fixture
def place(services: Services, tmp_path: Path) -> Iterator[Ground]:
    with ground(services, tmp_path, Births()) as place:
        yield place


def test_a_seed_decides_everything() -> None:
    assert plan(7) == plan(7)
    assert plan(7) != plan(8)


@pytest.mark.parametrize("seed", range(20))
def test_every_storm_has_trades_of_every_behaviour_and_no_two_alike(seed: int) -> None:
    trades = plan(seed).trades

    assert len(trades) == TRADES
    assert {trade.symbol.partition(".")[2] for trade in trades} == set(BEHAVIOURS)
    assert len({(trade.symbol, trade.direction, trade.units) for trade in trades}) == TRADES
    assert [trade.at for trade in trades] == sorted(trade.at for trade in trades)


@pytest.mark.acceptance
@pytest.mark.services
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1])
def test_nothing_twice_nothing_lost_in_a_storm(place: Ground, seed: int) -> None:
    verdict = place.storm(seed).verdict

    assert verdict.is_clean, f"{verdict}\nagain: python -m tests.faults.storms --seed {seed} --quakes 0"


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_nothing_twice_nothing_lost_while_the_services_quake(own_services: Services, tmp_path: Path) -> None:
    tally, births = Tally(), Births(COME_OF_AGE_SECONDS)

    with (
        ground(own_services, tmp_path, births) as place,
        Quakes(own_services, births, seed=1, every_seconds=15) as quakes,
    ):
        side_by_side(place, range(1001, 1007), at_a_time=3, tell=tally.take)

    assert not tally.failures, "\n".join(tally.failures.values())
    assert quakes.counted.total() >= 3
