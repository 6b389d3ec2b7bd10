"""Trades of one symbol go in the order of their arrival; other symbols do not wait for them."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from worker.pipeline.turns import Place, Turns


async def pass_through(place: Place, passed: list[int], number: int) -> None:
    await place.first()
    await asyncio.sleep(0)
    passed.append(number)
    place.leave()


@given(st.permutations(range(6)))
def test_arrival_decides_the_order_whoever_asks_first(asking: list[int]) -> None:
    async def story() -> list[int]:
        turns, passed = Turns(), list[int]()
        places = [turns.join("EURUSD") for _ in asking]
        await asyncio.gather(*(pass_through(places[number], passed, number) for number in asking))
        return passed

    assert asyncio.run(story()) == sorted(asking)


async def test_another_symbol_does_not_wait() -> None:
    turns = Turns()
    turns.join("EURUSD")
    await turns.join("USDJPY").first()


async def test_one_that_gives_up_makes_room() -> None:
    turns = Turns()
    first, second, third = (turns.join("EURUSD") for _ in range(3))
    second.leave()
    first.leave()
    await third.first()


async def test_leaving_twice_takes_nobody_elses_place() -> None:
    turns = Turns()
    first, second, third = (turns.join("EURUSD") for _ in range(3))
    first.leave()
    first.leave()
    await second.first()
    waiting = asyncio.create_task(third.first())
    await asyncio.sleep(0)
    assert not waiting.done()
    second.leave()
    await waiting


async def test_nobody_is_written_ahead_behind_two_that_try_again_although_the_first_of_them_leaves() -> None:
    # Given two that try again, and one behind them
    turns = Turns()
    first, second, third = (turns.join("EURUSD") for _ in range(3))
    for place in (first, second):
        place.slow_down(is_late=True)
    waiting = asyncio.create_task(third.near())
    await asyncio.sleep(0)

    # When the first of them is done
    first.leave()
    for _ in range(3):
        await asyncio.sleep(0)

    # Then the one behind still waits for the second
    assert not waiting.done()
    second.leave()
    await waiting
