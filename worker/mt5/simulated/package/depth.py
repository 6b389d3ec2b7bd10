"""The depth of market: offers and bids around the touch, with volumes that grow outwards and change every second."""

from __future__ import annotations

from functools import cache

from worker.mt5.simulated import constants as mt5
from worker.mt5.simulated.package import arguments
from worker.mt5.simulated.package.failures import Failure, not_found
from worker.mt5.simulated.package.pipe import Calls, Pipe, call
from worker.mt5.simulated.package.specification import DEPTH_OF_MARKET
from worker.mt5.simulated.prices.prices import Quote, ladder
from worker.mt5.simulated.prices.walk import noise, seed_of
from worker.mt5.simulated.structs import BookInfo, Struct
from worker.mt5.simulated.symbols import Instrument, Symbol

_A_SIDE = DEPTH_OF_MARKET // 2
_LOTS = 12  # typically at the touch; further out as many times more


class DepthCalls(Calls):
    """`market_book_add`, `market_book_get`, `market_book_release`."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__(pipe)
        self._watched: set[str] = set()

    @call
    def market_book_add(self, *args: object) -> bool:
        """Subscribe to a symbol's depth; only then it can be read."""
        symbol = self._asked(args)
        if symbol:
            self._watched.add(symbol.name)
        return symbol is not None

    @call
    def market_book_get(self, *args: object) -> tuple[Struct, ...]:
        """Return a symbol's depth: offers from the highest price down, then bids from the highest down."""
        desk, symbol = self.pipe.asked_about(*arguments.exactly(1, args))
        if symbol.name not in self._watched:
            raise not_found()
        now = desk.quote(symbol) if desk.shows(symbol) else None
        return () if now is None else depth(symbol, now)

    @call
    def market_book_release(self, *args: object) -> bool:
        """Give the subscription up."""
        symbol = self._asked(args)
        if symbol:
            self._watched.discard(symbol.name)
        return symbol is not None

    def _asked(self, args: tuple[object, ...]) -> Symbol | None:
        """Find the symbol; unlike other functions these answer False, not None, when the terminal fails."""
        name = arguments.symbol_name(*arguments.exactly(1, args))
        try:
            return self.pipe.asked_about(name)[1]
        except Failure as failure:
            self.pipe.error = failure.reason
            return None


def depth(symbol: Symbol, now: Quote) -> tuple[Struct, ...]:
    """Return the depth around a quote, half a spread from level to level; volumes in whole lots."""
    steps = ladder(symbol)
    gap = max(steps.spread // 2, 1)
    ask, bid = (round(price / symbol.instrument.tick_size) for price in (now.ask, now.bid))
    outwards = range(_A_SIDE)
    offers = [_level(symbol, now, mt5.BOOK_TYPE_SELL, ask + gap * place, place) for place in reversed(outwards)]
    bids = [_level(symbol, now, mt5.BOOK_TYPE_BUY, bid - gap * place, place) for place in outwards]
    return (*offers, *bids)


def _level(symbol: Symbol, now: Quote, side: int, rung: int, place: int) -> Struct:
    luck = noise(_seed(symbol.instrument, side, place), now.utc_msc // 1000)
    lots = round(_LOTS * (place + 1) * (1 + luck / 2))
    return BookInfo((side, ladder(symbol).price(rung), lots, float(lots)))


@cache
def _seed(instrument: Instrument, side: int, place: int) -> int:
    return seed_of(f"{instrument.name}/depth/{side}/{place}")
