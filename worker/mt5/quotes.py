"""The child's view of the market: instruments, ticks, margins, each asked for right now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from worker.domain.errors import TerminalUnavailable
from worker.domain.instrument import Instrument, VolumeRefusal, lots_for
from worker.domain.market import QuoteRequest, Tick
from worker.domain.trade import Direction
from worker.mt5 import readings
from worker.mt5.link import Link
from worker.mt5.order_request import ORDER_TYPE
from worker.mt5.server_clock import ServerClock
from worker.mt5.wire import Market, Quotation

OPENING_WATCH_SECONDS = 2.0
_QUOTE_WATCH_SECONDS = 1.0
_BETWEEN_LOOKS = 0.01  # seconds
_BETWEEN_WATCHES = 10.0  # seconds; a closed market must not slow every quote down
_WATCHED_AT_MOST = 10  # symbols
_GLANCED_AT = 4  # symbols; at one a poll, a change of the clock is noticed within some two seconds

_Position = tuple[Direction, str, Decimal, Decimal]  # direction, symbol, lots, price


class Quotes:
    """Answers questions about symbols and learns the server's clock from every tick it sees."""

    def __init__(self, link: Link, clock: ServerClock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._monotonic = monotonic
        self._instruments: dict[str, Instrument] = {}
        self._selected: set[str] = set()
        self._watch_again_at = 0.0
        self._glances = 0

    def forget(self) -> None:
        """Forget what was known of the symbols: the terminal may be another one after a reconnect."""
        self._instruments.clear()
        self._selected.clear()

    def quotation(self, requests: Sequence[QuoteRequest]) -> Quotation:
        """Answer one coarse question about each of several trades, and look once at what they have in common."""
        health = self._link.health()
        markets = {symbol: self._market(symbol) for symbol in dict.fromkeys(request.symbol for request in requests)}
        positions = [_position(request, markets[request.symbol]) for request in requests]
        margins = {position: self._margin(position) for position in dict.fromkeys(positions)}
        return Quotation(health, markets, tuple(margins[position] for position in positions))

    def instrument(self, symbol: str) -> Instrument | None:
        """Read a symbol's specification; None when the broker has no such symbol."""
        if not self.select(symbol):
            return None
        info = self._link.call("symbol_info", symbol)
        if info is None:
            return None
        self._instruments.pop(symbol, None)  # the last used one comes last
        try:
            self._instruments[symbol] = readings.instrument(info)
        except ValueError as error:
            raise TerminalUnavailable(f"{error}; the terminal may still be loading it") from None
        return self._instruments[symbol]

    def select(self, symbol: str) -> bool:
        """Have the terminal follow a symbol; False when the broker has no such symbol."""
        if symbol not in self._selected and self._link.call("symbol_select", symbol, True):  # noqa: FBT003 - the package takes it by position only
            self._selected.add(symbol)
        return symbol in self._selected

    def known_instrument(self, symbol: str) -> Instrument | None:
        """Return the specification as last read, reading it only the first time."""
        return self._instruments.get(symbol) or self.instrument(symbol)

    def instruments(self, symbols: Sequence[str]) -> tuple[Instrument, ...]:
        """Return these instruments as far as they exist; all that the terminal shows when none are named."""
        read = (self.instrument(symbol) for symbol in symbols or self._visible())
        return tuple(instrument for instrument in read if instrument is not None)

    def tick(self, instrument: Instrument) -> Tick | None:
        """Read the latest prices; None when there are none."""
        raw = self._link.call("symbol_info_tick", instrument.symbol)
        if raw is None or not raw.time:
            return None
        now = datetime.now(UTC)
        self._clock.observe(instrument.symbol, raw.time_msc, now)
        bid, ask = readings.exact(raw.bid, instrument.digits), readings.exact(raw.ask, instrument.digits)
        return Tick(bid, ask, self._clock.to_utc(raw.time_msc, now))

    def glance(self) -> None:
        """Look at the price of one recently used symbol after the other, for what it tells of the server's clock."""
        recent = list(self._instruments.values())[-_GLANCED_AT:]
        if self._clock.offset is not None and recent:
            self._glances += 1
            recent = [recent[self._glances % len(recent)]]
        for instrument in recent:  # all of them while the clock is not known: some may belong to a closed market
            self.tick(instrument)

    def watch(self, symbols: Sequence[str], seconds: float) -> None:
        """Watch prices of these symbols (the visible ones when none are named) until the clock is known."""
        names = (symbols or self._visible())[:_WATCHED_AT_MOST]
        watched = [instrument for name in names if (instrument := self.instrument(name)) is not None]
        give_up_at = self._monotonic() + seconds
        while watched and self._clock.offset is None and self._monotonic() < give_up_at:
            for instrument in watched:
                self.tick(instrument)
            time.sleep(_BETWEEN_LOOKS)

    def _timed_tick(self, instrument: Instrument) -> Tick | None:
        """Read the latest prices; the server's clock is learnt from them where it has to be, or had been put back."""
        tick = self.tick(instrument)
        if self._clock.offset is not None or self._monotonic() < self._watch_again_at:
            return tick
        self.watch([instrument.symbol], _QUOTE_WATCH_SECONDS)
        self._watch_again_at = self._monotonic() + _BETWEEN_WATCHES
        return self.tick(instrument)

    def _market(self, symbol: str) -> Market:
        try:
            instrument = self.instrument(symbol)
            tick = None if instrument is None else self._timed_tick(instrument)
        except TerminalUnavailable as error:
            return Market(None, None, datetime.now(UTC), str(error))
        return Market(instrument, tick, datetime.now(UTC))

    def _margin(self, position: _Position | None) -> Decimal | None:
        if position is None:
            return None
        direction, symbol, lots, touch = position
        margin = self._link.call("order_calc_margin", ORDER_TYPE[direction], symbol, float(lots), float(touch))
        return None if margin is None else readings.exact(margin)

    def _visible(self) -> list[str]:
        return [row.name for row in self._link.rows("symbols_get") or () if row.visible]


def _position(request: QuoteRequest, market: Market) -> _Position | None:
    """Return what the request would open at this market; None when it cannot be told."""
    instrument, tick = market.instrument, market.tick
    if instrument is None or tick is None:
        return None
    lots = lots_for(request.units, instrument, request.volume_policy, request.max_volume_shortfall)
    touch = tick.touch(request.direction)
    if isinstance(lots, VolumeRefusal) or touch <= 0:
        return None
    return request.direction, request.symbol, lots, touch
