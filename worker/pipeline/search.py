"""The searcher: one search of the terminal for all who wait for evidence, however many."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from worker.domain.errors import TerminalUnavailable
from worker.domain.evidence import Evidence, token_of
from worker.domain.market import Search, SearchRequest
from worker.domain.token import trade_of
from worker.ports import Clock, Ledger, Terminal, Watermark

REST_SHARE = 3.0  # of a search's own time


@dataclass(frozen=True, slots=True)
class Look:
    """One search: when it began (monotonic seconds), what it has found, and that sorted by base token."""

    began: float
    search: Search
    evidence: Mapping[int, Evidence]


@dataclass(frozen=True, slots=True)
class _Wish:
    since: datetime
    symbols: frozenset[str]
    trades: frozenset[int] | None
    senders: frozenset[str]
    answer: asyncio.Future[Look]


class Searcher:
    """
    Whoever asks is answered by a search that began after the asking.

    Between two searches the terminal is left to others for `rest` seconds, longer after a search that took long.
    """

    def __init__(self, terminal: Terminal, ledger: Ledger, clock: Clock, rest: float) -> None:
        self._terminal, self._ledger, self._clock, self._rest = terminal, ledger, clock, rest
        self._wishes: list[_Wish] = []
        self._searching: asyncio.Task[None] | None = None

    async def look(
        self,
        since: datetime,
        symbols: frozenset[str] = frozenset(),
        trades: frozenset[int] | None = None,
        senders: frozenset[str] = frozenset(),
    ) -> Look:
        """
        Look for what is ours since then (UTC), and through all that is known of these symbols.

        `trades` (base tokens) are those that matter, None means all; `senders` are terminals that are to look
        themselves, if they can. A terminal that does not answer makes an unreadable look, never an error.
        """
        answer: asyncio.Future[Look] = asyncio.get_running_loop().create_future()
        self._wishes.append(_Wish(since, symbols, trades, senders, answer))
        if self._searching is None:
            self._searching = asyncio.create_task(self._serve(), name="searcher")
        return await answer

    async def _serve(self) -> None:
        try:
            await asyncio.sleep(0)  # those who ask in this very moment share the first search
            while self._wishes:
                wishes, self._wishes = self._wishes, []
                began = self._clock.monotonic()
                await self._answer(wishes)
                await asyncio.sleep(max(self._rest, REST_SHARE * (self._clock.monotonic() - began)))
        finally:
            self._searching = None

    async def _answer(self, wishes: list[_Wish]) -> None:
        try:
            look: Look | Exception = await self._look(wishes)
        except Exception as error:  # noqa: BLE001 - a defect, which belongs to all who asked: none may wait for ever
            look = error
        for answer in (wish.answer for wish in wishes if not wish.answer.done()):
            if isinstance(look, Exception):
                answer.set_exception(look)
            else:
                answer.set_result(look)

    async def _look(self, wishes: list[_Wish]) -> Look:
        began = self._clock.monotonic()
        request = SearchRequest(
            since=min(wish.since for wish in wishes),
            namespaces=self._ledger.namespaces,
            symbols=frozenset().union(*(wish.symbols for wish in wishes)),
            trades=_all_of(wish.trades for wish in wishes),
            witness=self._ledger.watermark.newest_deal,
            senders=frozenset().union(*(wish.senders for wish in wishes)),
        )
        try:
            search = await self._terminal.search(request)
        except TerminalUnavailable as error:
            search = Search(readable=False, detail=str(error))
        if search.readable:
            self._ledger.compared(Watermark(newest_deal=search.newest_deal))
        return Look(began, search, _by_trade(search))


def _all_of(asked: Iterable[frozenset[int] | None]) -> frozenset[int] | None:
    together: frozenset[int] = frozenset()
    for trades in asked:
        if trades is None:
            return None
        together |= trades
    return together


def _by_trade(search: Search) -> Mapping[int, Evidence]:
    found: dict[int, Evidence] = defaultdict(Evidence)
    for order in search.orders:
        found[trade_of(token_of(order))].add_order(order)
    for deal in search.deals:
        found[trade_of(token_of(deal))].add_deal(deal)
    return found
