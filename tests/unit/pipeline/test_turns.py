"""Trades of one symbol go in the order of their arrival; other symbols do not wait for them."""

from __future__ import annotations

import asyncio

import pytest

from worker.pipeline.turns import Turn, Turns


async def test_arrival_decides_the_order() -> None:
    turns, sent = Turns(), list[int]()

    async def trade(number: int) -> None:
        async with turn[number].taken():
            await asyncio.sleep(0)
            sent.append(number)

    turn = [turns.join("EURUSD") for _ in range(5)]
    await asyncio.gather(*(trade(number) for number in (3, 1, 4, 0, 2)))
    assert sent == [0, 1, 2, 3, 4]


async def test_another_symbol_does_not_wait() -> None:
    turns = Turns()
    first, other = turns.join("EURUSD"), turns.join("USDJPY")
    async with first.taken(), other.taken():
        pass


async def test_one_that_gives_up_makes_room() -> None:
    turns = Turns()
    first, second, third = (turns.join("EURUSD") for _ in range(3))

    async def take(turn: Turn) -> None:
        async with turn.taken():
            pass

    async with first.taken():
        waiting = asyncio.create_task(take(second))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await take(third)
