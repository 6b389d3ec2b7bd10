"""The watch: one poll of the terminal for all orders, however many are open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from worker.domain.errors import TerminalUnavailable
from worker.domain.evidence import Evidence, token_of
from worker.domain.market import BrokerDeal, BrokerOrder, Poll, PollRequest, SendReport
from worker.domain.token import trade_of
from worker.ports import Clock, Ledger, Terminal, Watermark

RECENT = timedelta(seconds=5)  # a poll looks back this far behind the last one: terminals show events late
SHOWN_WITHIN_SECONDS = 10.0  # deals may show later than the orders by which the lag is measured
LONGEST_LAG_SECONDS = 60.0  # an order that shows up later than that says nothing about the broker's usual lag
FAR = timedelta(hours=1)  # a poll now and then looks back this far or farther, for what showed up later than that
FAR_EVERY_SECONDS = 30.0
SETTLING_SECONDS = 600.0  # a terminal that was out of reach may not have loaded its history for so long
REST_SHARE = 3.0  # after a poll the terminal is left to sends for this many times as long as the poll kept it
LEAST_REST_SECONDS = 0.025  # one poll then shows what came of several orders, and one commit records it

_log = structlog.get_logger()
Found = TypeVar("Found")
Late = Callable[[Mapping[int, Evidence]], Awaitable[None]]


class Sighting:
    """What has been seen of one trade so far, and a way to wait for more."""

    def __init__(self) -> None:
        self.evidence = Evidence()
        self.expected_at: float | None = None  # monotonic seconds; None when nothing is expected, or it has been seen
        self._news = asyncio.Event()

    def tell(self) -> None:
        """Wake whoever waits."""
        self._news.set()

    async def news(self, at_most: float) -> None:
        """Return when something new was seen, or after `at_most` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(at_most, 0)):
                await self._news.wait()
                self._news.clear()

    async def first(self, found_in: Callable[[Evidence], Found | None], at_most: float) -> Found | None:
        """Return what is found in the evidence as soon as it is there; None when it is not after `at_most` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                while (found := found_in(self.evidence)) is None:
                    await self._news.wait()
                    self._news.clear()
                return found
        return None


@dataclass(frozen=True, slots=True)
class _Named:
    """A deal that the answer to a send has named, and when (monotonic seconds)."""

    at: float
    order: int
    deal: int


class Watch:
    """Polls at once when asked, else every `interval` seconds, and hands each sighting to its trade by token."""

    def __init__(
        self,
        terminal: Terminal,
        clock: Clock,
        interval: float,
        ledger: Ledger,
        late: Late,
    ) -> None:
        self._terminal, self._clock, self._interval = terminal, clock, interval
        self._ledger, self._late = ledger, late
        self._sightings: dict[int, Sighting] = {}
        self.lag = interval  # seconds; the longest that an accepted order has stayed out of sight
        self._named: list[_Named] = []  # deals that no poll has shown yet
        self._names_are_true = False  # the last order that could be compared had the deal that its answer had named
        self._wanted = asyncio.Event()
        self._last_read: datetime | None = None
        self._whole_until: datetime | None = None  # as far as nothing can have been missed
        self._settled_at = float("-inf")  # monotonic: from then on an empty history is believed
        self._next_far = 0.0

    @property
    def last_read(self) -> datetime | None:
        """Return when the last poll began that could read everything (UTC); None before the first."""
        return self._last_read

    def register(self, base_token: int) -> Sighting:
        """Start collecting what is seen of a trade; call it before anything can reach the broker."""
        sighting = self._sightings.get(base_token)
        if sighting is None:
            sighting = self._sightings[base_token] = Sighting()
        return sighting

    def release(self, base_token: int) -> Evidence:
        """Stop collecting, and return all that was seen: the trade is settled. What shows up from now on is late."""
        sighting = self._sightings.pop(base_token, None)
        return Evidence() if sighting is None else sighting.evidence

    def expect(self, base_token: int) -> Sighting:
        """Measure from now on how long an order that the broker has taken stays out of sight; returns its sighting."""
        sighting = self.register(base_token)
        if not sighting.evidence:
            sighting.expected_at = self._clock.monotonic()
        return sighting

    def reckon_with(self, lag: float) -> None:
        """Reckon with a lag (s) of the broker that was measured at another time."""
        self.lag = min(max(self.lag, lag), LONGEST_LAG_SECONDS)

    def look_now(self) -> None:
        """Ask for a poll without waiting for the interval."""
        self._wanted.set()

    def answered(self, report: SendReport) -> None:
        """
        Look at what came of a send without waiting for the interval.

        A history without a deal that its answer has named long enough ago is not whole, if this broker names deals by
        the numbers under which it shows them: that must have been seen before, for a number that is never shown would
        make every history wanting.
        """
        if report.deal_ticket:
            self._named.append(_Named(self._clock.monotonic(), report.order_ticket, report.deal_ticket))
        self.look_now()

    async def run(self) -> None:
        """Poll for ever."""
        while True:
            rest = max(await self._seconds_of_a_look() * REST_SHARE, LEAST_REST_SECONDS)
            await asyncio.sleep(min(rest, self._interval))
            await self._pause()

    async def _seconds_of_a_look(self) -> float:
        """Look, and return how long that kept the terminal from sends."""
        began = self._clock.monotonic()
        try:
            return (await self._look()).took
        except TerminalUnavailable as error:
            _log.debug("poll_failed", detail=str(error))
            self._went_blind()
            return self._clock.monotonic() - began

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._interval):
                await self._wanted.wait()
        except TimeoutError:
            return

    async def _look(self) -> Poll:
        self._wanted.clear()
        self._believe_answers()
        began, far = self._clock.now(), self._clock.monotonic() >= self._next_far
        poll = await self._terminal.poll(PollRequest(self._since(began, far=far), self._ledger.namespaces))
        await self._spread(poll)
        if not poll.readable:
            self._went_blind()
            return poll
        self._last_read = began
        if far:
            self._next_far = self._clock.monotonic() + FAR_EVERY_SECONDS
        if self._clock.monotonic() >= self._settled_at:
            self._whole_until = began
        self._ledger.compared(Watermark(self._whole_until, poll.newest_deal))
        return poll

    def _believe_answers(self) -> None:
        """Have every search look for the newest named deal that must be shown by now."""
        due = self._clock.monotonic() - max(self.lag, SHOWN_WITHIN_SECONDS)
        overdue = [named.deal for named in self._named if named.at <= due]
        self._named = [named for named in self._named if named.at > due]
        if overdue and self._names_are_true:
            self._ledger.compared(Watermark(newest_deal=max(overdue)))

    def _compare_names(self, deals: Iterable[BrokerDeal]) -> None:
        """Learn from the orders whose deals are shown now whether their answers have named them rightly."""
        shown = {(deal.order, deal.ticket) for deal in deals}
        orders = {order for order, _ in shown}
        for named in self._named:
            if named.order in orders:
                self._names_are_true = (named.order, named.deal) in shown
        self._named = [named for named in self._named if named.order not in orders]

    def _since(self, began: datetime, *, far: bool) -> datetime:
        if self._last_read is None:
            return self._ledger.watermark.since(began)
        recent = self._last_read - RECENT
        return min(recent, began - FAR, (self._whole_until or began) - RECENT) if far else recent

    async def _spread(self, poll: Poll) -> None:
        self._compare_names(poll.deals)
        late: dict[int, Evidence] = {}
        for order in poll.orders:
            self._evidence(order, late).add_order(order)
        for deal in poll.deals:
            self._evidence(deal, late).add_deal(deal)
        if late:
            await self._late(late)

    def _evidence(self, seen: BrokerOrder | BrokerDeal, late: dict[int, Evidence]) -> Evidence:
        base = trade_of(token_of(seen))
        sighting = self._sightings.get(base)
        if sighting is None:
            return late.setdefault(base, Evidence())
        self._learn_lag(sighting)
        sighting.tell()
        return sighting.evidence

    def _went_blind(self) -> None:
        """Forget what is expected, for our own view is late now; what the terminal shows next may not be the whole."""
        self._settled_at = self._clock.monotonic() + SETTLING_SECONDS
        for sighting in self._sightings.values():
            sighting.expected_at = None

    def _learn_lag(self, sighting: Sighting) -> None:
        if sighting.expected_at is not None:
            self.reckon_with(self._clock.monotonic() - sighting.expected_at)
            sighting.expected_at = None
