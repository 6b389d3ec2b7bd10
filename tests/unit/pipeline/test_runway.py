"""As many wait for their send at the same time as their terminal can send in time; no other terminal counts."""

from __future__ import annotations

import asyncio

import pytest

from worker.pipeline.runway import LONGEST, SHORTEST, Runway, Runways


class Trades:
    """Trades that hold a place until they are let go, by the terminal that sends them."""

    def __init__(self, runways: Runways) -> None:
        self._runways, self._go = runways, asyncio.Event()
        self.on_it: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def arrive(self, symbol: str, count: int = 1) -> None:
        self._tasks += [asyncio.create_task(self._hold(symbol)) for _ in range(count)]
        for _ in range(3):
            await asyncio.sleep(0)

    async def leave(self) -> None:
        self._go.set()
        await asyncio.gather(*self._tasks)

    async def _hold(self, symbol: str) -> None:
        runway = await self._runways.enter(symbol)
        self.on_it.append(symbol)
        await self._go.wait()
        runway.leave()


def by_first_letter() -> Runways:
    return Runways(lambda symbol: symbol[0])


async def test_a_terminal_that_hangs_keeps_no_place_of_another_one() -> None:
    # Given a terminal that does not answer, with more trades than it has places for
    runways = by_first_letter()
    trades = Trades(runways)
    await trades.arrive("A1", LONGEST)
    await trades.arrive("A2", LONGEST)
    held = len(trades.on_it)
    assert held < 2 * LONGEST

    # Then the trades of another one find their places
    await trades.arrive("B1")
    assert trades.on_it[held:] == ["B1"]
    await trades.leave()


async def test_the_symbols_of_one_terminal_share_its_places_in_the_order_of_asking() -> None:
    runways = by_first_letter()
    for number in range(100):
        runways.answered("A1", 10.0 * number, 10.0 * number + 10)
    trades = Trades(runways)
    for symbol in ("A1", "A2", "A3"):
        await trades.arrive(symbol)
    assert trades.on_it == ["A1", "A2"]
    await trades.leave()
    assert trades.on_it == ["A1", "A2", "A3"]


@pytest.mark.parametrize(("seconds", "length"), [(10.0, SHORTEST), (0.1, 10), (0.001, LONGEST)])
def test_a_runway_is_as_long_as_its_terminal_is_quick(seconds: float, length: int) -> None:
    runway = Runway()
    for number in range(300):
        runway.answered(number * seconds, (number + 1) * seconds)
    assert abs(runway.length - length) <= 1


def test_orders_that_were_handed_over_together_have_taken_the_terminal_as_long_as_it_was_at_each() -> None:
    # Given a terminal that sends one order in 20 ms, and ten at a time that wait for it
    runway, now = Runway(), 0.0
    for _ in range(30):
        handed_over = now
        for _ in range(10):
            now += 0.02
            runway.answered(handed_over, now)
    assert abs(runway.length - 50) <= 1


def test_what_passes_between_an_answer_and_the_next_hand_over_counts_as_well() -> None:
    # Given ten orders that were written ahead together, a quick terminal, and a process that seldom gets its turn
    runway, now = Runway(), 0.0
    for _ in range(30):
        written = now
        for _ in range(10):
            now += 0.1
            runway.answered(written, now)
    assert abs(runway.length - 10) <= 1


async def test_a_runway_on_which_deadlines_pass_becomes_shorter_until_none_does() -> None:
    # Given as many on it as it takes, of which each fourth waits its deadline out
    runways = by_first_letter()
    for number in range(300):
        runways.answered("A", number / 1000, (number + 1) / 1000)
    trades = Trades(runways)
    await trades.arrive("A", 2 * LONGEST)
    assert len(trades.on_it) == LONGEST

    for _ in range(LONGEST // 4):
        runways.too_late("A")
    assert SHORTEST < runways._runways["A"].length < LONGEST

    # Then it is longer again as soon as the machine has time
    for number in range(300):
        runways.answered("A", 1 + number / 1000, 1 + (number + 1) / 1000)
    assert runways._runways["A"].length == LONGEST
    await trades.leave()


async def test_one_who_gives_up_leaves_no_place_taken() -> None:
    runways = by_first_letter()
    for number in range(100):
        runways.answered("A", 10.0 * number, 10.0 * number + 10)
    trades = Trades(runways)
    await trades.arrive("A", SHORTEST)
    waiting = asyncio.create_task(trades.arrive("A"))
    await waiting
    trades._tasks[-1].cancel()
    await asyncio.gather(trades._tasks.pop(), return_exceptions=True)
    await trades.arrive("A")
    await trades.leave()
    assert len(trades.on_it) == SHORTEST + 1
