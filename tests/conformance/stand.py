"""Where the stories of a terminal are played: an open terminal, and orders small enough for anybody's demo account."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.fixtures.terminal import Sightings, is_over
from worker.domain.errors import TerminalUnavailable
from worker.domain.instrument import Instrument, VolumePolicy
from worker.domain.market import BrokerPosition, OrderRequest, PollRequest, Quote, QuoteRequest, SearchRequest
from worker.domain.token import CANARY_NAMESPACE, COUNTER_BITS, attempt_token, base_token, comment_of
from worker.domain.trade import Direction
from worker.mt5.pool import MT5ConnectionPool
from worker.mt5.terminal import PooledTerminal
from worker.mt5.wire import VenueFacts

NAMESPACE = CANARY_NAMESPACE  # no ledger's: a worker that meets these orders leaves them alone
_ROOM = Decimal("0.02")  # of the price; nothing shall stand against an order but what its story says
_CLOSED_WITHIN = 60.0  # seconds
_BACK_WITHIN = 10.0  # seconds
_counter = itertools.count(secrets.randbelow(1 << (COUNTER_BITS - 1)))  # no run repeats the tokens of another


class Stand:
    """An open terminal, the symbol to trade there, and all that was sent, so that it can be put away again."""

    def __init__(
        self, pool: MT5ConnectionPool, terminal: PooledTerminal, facts: VenueFacts, symbol: str, book: Path | None
    ) -> None:
        self.pool = pool
        self.terminal = terminal
        self.facts = facts
        self.symbol = symbol
        self.book = book  # of the simulated broker
        self._sent: dict[int, OrderRequest] = {}

    @property
    def is_simulated(self) -> bool:
        return self.facts.venue.backend == "simulated"

    async def quote(self, units: Decimal | int = 0, symbol: str = "") -> Quote:
        """Ask for a quote of so many units; of 100,000 when none are named. A terminal may need a while to recover."""
        async with asyncio.timeout(_BACK_WITHIN):
            while True:
                with contextlib.suppress(TerminalUnavailable):
                    return await self.terminal.quote(self.asked(units, symbol))
                await asyncio.sleep(0.1)

    def asked(self, units: Decimal | int = 0, symbol: str = "") -> QuoteRequest:
        wanted = Decimal(units or 100_000)
        return QuoteRequest(symbol or self.symbol, Direction.LONG, wanted, VolumePolicy.EXACT, Decimal(0))

    async def instrument(self) -> Instrument:
        found = (await self.quote()).instrument
        assert found is not None
        return found

    async def order(self, direction: Direction = Direction.LONG, steps: int = 0, **changes: Any) -> OrderRequest:
        """Return an order of the smallest volume (and so many steps more) with a token of its own."""
        quote = await self.quote()
        assert quote.instrument is not None
        assert quote.tick is not None
        touch = quote.tick.touch(direction)
        magic = attempt_token(base_token(NAMESPACE, next(_counter)), 1)
        order = OrderRequest(
            symbol=self.symbol,
            direction=direction,
            lots=quote.instrument.volume_min + steps * quote.instrument.volume_step,
            magic=magic,
            comment=comment_of(magic),
            worst_price=touch * (1 + int(direction) * _ROOM),
            send_before=datetime.now(UTC) + timedelta(seconds=60),
            send_before_monotonic=time.monotonic() + 60,
            login=self.facts.venue.login,
            server=self.facts.venue.server,
        )
        order = replace(order, **changes)
        self._sent[order.magic] = order
        return order

    def look(self, namespace: int = NAMESPACE) -> PollRequest:
        return PollRequest(datetime.now(UTC) - timedelta(minutes=1), frozenset({namespace}))

    def question(self, *symbols: str, namespace: int = NAMESPACE, witness: int | None = None) -> SearchRequest:
        since = datetime.now(UTC) - timedelta(minutes=1)
        return SearchRequest(since, frozenset({namespace}), frozenset(symbols), witness=witness)

    def news_of(self, order: OrderRequest) -> Sightings:
        return News(self, order.magic)

    async def done(self, order: OrderRequest) -> Sightings:
        """Send an order and wait until it is over."""
        await self.terminal.submit(order)
        return await self.news_of(order).until(is_over, within=_CLOSED_WITHIN)

    async def positions(self) -> Mapping[int, BrokerPosition]:
        """Return what this run has left open, by the magic of the order that opened it."""
        search = await self.terminal.search(self.question())
        return {position.magic: position for position in search.positions if position.magic in self._sent}

    async def put_away(self) -> None:
        """Close what the stories have opened; a position that stays open fails the run, with its ticket."""
        give_up_at = time.monotonic() + _CLOSED_WITHIN
        while left := await self.positions():
            assert time.monotonic() < give_up_at, f"STILL OPEN, close by hand: {[p.ticket for p in left.values()]}"
            for position in left.values():
                await self._close(position)
            await asyncio.sleep(0.02 if self.is_simulated else 0.5)

    async def _close(self, position: BrokerPosition) -> None:
        held = self._sent[position.magic].direction
        if self.facts.account_mode == "netting":
            held = Direction.LONG if await self._is_long() else Direction.SHORT
        order = await self.order(Direction(-held), lots=position.volume, closes=position.ticket)
        await self.done(order)

    async def _is_long(self) -> bool:
        """Tell the direction of a netting account's position: what this run has dealt in all."""
        search = await self.terminal.search(self.question(self.symbol))
        dealt = (
            int(self._sent[deal.magic].direction) * deal.volume for deal in search.deals if deal.magic in self._sent
        )
        return sum(dealt) > 0


class News(Sightings):
    """All news of one order of a stand so far."""

    def __init__(self, stand: Stand, magic: int) -> None:
        super().__init__(stand.terminal, magic)
        self._stand = stand

    async def once(self) -> Sightings:
        poll = await self.terminal.poll(self._stand.look())
        self.orders += [order for order in poll.orders if order.magic == self.magic]
        self.deals += [deal for deal in poll.deals if deal.magic == self.magic]
        return self
