"""One search of the terminal answers all who asked before it began."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from worker.domain.errors import TerminalUnavailable
from worker.domain.market import Search, SearchRequest
from worker.pipeline.search import Searcher
from worker.ports import Watermark

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


class Terminals:
    """Answers searches when told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[SearchRequest] = []
        self.answer: Search | TerminalUnavailable = Search(readable=True, newest_deal=9)
        self.searching, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def search(self, request: SearchRequest) -> Search:
        self.asked.append(request)
        self.searching.set()
        await self.gate.wait()
        if isinstance(self.answer, TerminalUnavailable):
            raise self.answer
        return self.answer


class Books:
    """As much of a ledger as a searcher sees."""

    namespaces = frozenset({7})

    def __init__(self) -> None:
        self.watermark = Watermark(None, 5)

    def compared(self, watermark: Watermark) -> None:
        self.watermark = watermark


class Clocks:
    """The event loop's time."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def a_searcher(terminal: Terminals, ledger: Books, rest: float = 0) -> Searcher:
    parts: tuple[Any, Any, Any] = (terminal, ledger, Clocks())
    return Searcher(*parts, rest)


async def test_many_who_ask_at_once_share_one_search() -> None:
    terminal, ledger = Terminals(), Books()
    searcher = a_searcher(terminal, ledger)
    looks = await asyncio.gather(
        *(searcher.look(NOW - timedelta(seconds=n), frozenset({f"S{n % 3}"})) for n in range(1000))
    )
    [request] = terminal.asked
    assert request == SearchRequest(
        NOW - timedelta(seconds=999), frozenset({7}), frozenset({"S0", "S1", "S2"}), witness=5
    )
    assert len({look.began for look in looks}) == 1
    assert ledger.watermark.newest_deal == 9


async def test_a_search_names_the_trades_unless_somebody_wants_all() -> None:
    terminal = Terminals()
    searcher = a_searcher(terminal, Books())
    await asyncio.gather(*(searcher.look(NOW, trades=frozenset({n})) for n in (64, 128)))
    await asyncio.gather(searcher.look(NOW, trades=frozenset({64})), searcher.look(NOW))
    assert [request.trades for request in terminal.asked] == [{64, 128}, None]


async def test_a_search_names_every_terminal_that_is_to_look_itself() -> None:
    terminal = Terminals()
    searcher = a_searcher(terminal, Books())
    await asyncio.gather(*(searcher.look(NOW, senders=frozenset(names)) for names in ((), ("one",), ("one", "two"))))
    assert [request.senders for request in terminal.asked] == [{"one", "two"}]


async def test_who_asks_during_a_search_is_answered_by_the_next_one() -> None:
    terminal = Terminals()
    searcher = a_searcher(terminal, Books())
    terminal.gate.clear()
    first = asyncio.create_task(searcher.look(NOW))
    await terminal.searching.wait()
    second = asyncio.create_task(searcher.look(NOW, frozenset({"EURUSD"})))
    terminal.gate.set()
    assert (await first).began < (await second).began
    assert [set(request.symbols) for request in terminal.asked] == [set(), {"EURUSD"}]


async def test_a_terminal_that_does_not_answer_makes_an_unreadable_look() -> None:
    terminal, ledger = Terminals(), Books()
    terminal.answer = TerminalUnavailable("it is being opened")
    look = await a_searcher(terminal, ledger).look(NOW)
    assert (look.search.readable, look.search.detail) == (False, "it is being opened")
    assert ledger.watermark.newest_deal == 5


async def test_someone_who_gives_up_does_not_disturb_the_others() -> None:
    terminal = Terminals()
    searcher = a_searcher(terminal, Books())
    terminal.gate.clear()
    impatient, patient = (asyncio.create_task(searcher.look(NOW)) for _ in range(2))
    await terminal.searching.wait()
    impatient.cancel()
    terminal.gate.set()
    assert (await patient).search.readable


async def test_a_search_that_breaks_is_told_to_all_who_wait_and_the_next_one_is_made() -> None:
    """Whoever waits for evidence and is never answered would keep its trade unknown for ever."""
    terminal = Terminals()
    searcher = a_searcher(terminal, Books())
    sound, terminal.answer = terminal.answer, cast("Any", None)

    broken = await asyncio.gather(*(searcher.look(NOW) for _ in range(2)), return_exceptions=True)
    terminal.answer = sound

    assert [type(answer) for answer in broken] == [AttributeError, AttributeError]
    assert (await searcher.look(NOW)).search is sound
