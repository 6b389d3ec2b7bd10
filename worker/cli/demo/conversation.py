"""What RPM and a subscriber do during the demo: publish, listen, wait for one another."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from worker.cli.demo.stage import Place
from worker.cli.demo.trades import Sample
from worker.clock import SystemClock
from worker.domain.errors import Refused
from worker.domain.message import MessageKind, OutgoingMessage, PublishResult
from worker.ledger.desk import LetterFilter, LetterLine
from worker.ledger.desk import dead_letters as list_dead_letters
from worker.ledger.operators import operator
from worker.messaging.connection import connected
from worker.messaging.inspection import listen
from worker.messaging.publisher import Publisher
from worker.messaging.topology import TRADES

_EACH_SECONDS = 15.0
_ALL_SECONDS = 30.0
_GLANCE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Arrival:
    """A confirmation as it came back over RabbitMQ, and when."""

    at: datetime
    body: bytes
    told: dict[str, Any]


class Subscriber:
    """Hears every confirmation of the account."""

    def __init__(self, account: str) -> None:
        self._routing_key = f"confirmation.*.{account}.#"
        self._heard: defaultdict[str, list[Arrival]] = defaultdict(list)
        self._news = asyncio.Condition()

    @asynccontextmanager
    async def listening(self, amqp_url: str) -> AsyncIterator[None]:
        """Listen for as long as the block lasts; it begins when nothing can be missed any more."""
        ready = asyncio.Event()
        task = asyncio.create_task(self._listen(amqp_url, ready))
        try:
            await _first(task, ready)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def of(self, sample: Sample) -> Sequence[Arrival]:
        """Return what came for a trade so far."""
        return self._heard[sample.correlation_id]

    async def wait_for(self, sample: Sample, copies: int, seconds: float) -> None:
        """Wait until so many confirmations of a trade have come, or the time is over."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: len(self.of(sample)) >= copies)
        except TimeoutError:
            return  # the report says what is missing

    async def _listen(self, amqp_url: str, ready: asyncio.Event) -> None:
        async with aclosing(listen(amqp_url, self._routing_key, on_ready=ready.set)) as confirmations:
            async for message in confirmations:
                arrival = Arrival(datetime.now(UTC), message.body, json.loads(message.body))
                async with self._news:
                    self._heard[message.correlation_id or ""].append(arrival)
                    self._news.notify_all()


@dataclass(frozen=True, slots=True)
class Story:
    """One trade of the demo: when it was published and what came back."""

    sample: Sample
    published_at: datetime
    arrivals: Sequence[Arrival]


async def converse(
    place: Place, samples: Sequence[Sample], subscriber: Subscriber, tell: Callable[[Sample, Sequence[Arrival]], None]
) -> list[Story]:
    """Publish all samples and return their stories; each is waited for alone, but for those that take seconds."""
    published: dict[str, datetime] = {}
    async with connected(place.amqp_url, "mt5-worker demo RPM") as connection:
        publisher = Publisher(connection)
        for sample in samples:
            published[sample.correlation_id] = datetime.now(UTC)
            for copy in range(1, sample.copies + 1):
                await _publish(publisher, place.account, sample)
                if not sample.patient:
                    await subscriber.wait_for(sample, copy, _EACH_SECONDS)
            if not sample.patient:
                tell(sample, subscriber.of(sample))
    for sample in samples:
        if sample.patient:
            await subscriber.wait_for(sample, sample.copies, _ALL_SECONDS)
            tell(sample, subscriber.of(sample))
    in_turn = sorted(samples, key=lambda sample: sample.patient)
    return [Story(sample, published[sample.correlation_id], subscriber.of(sample)) for sample in in_turn]


async def dead_letters(place: Place, wanted: int) -> Sequence[LetterLine]:
    """Return the dead letters that lie on the operator's desk, once there are as many as wanted or time is over."""
    deadline = asyncio.get_running_loop().time() + _EACH_SECONDS
    async with operator(place.postgres_url, SystemClock()) as desk:
        while True:
            found = await list_dead_letters(desk, LetterFilter(account=place.account), 100)
            if len(found) >= wanted or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(_GLANCE_SECONDS)


async def _publish(publisher: Publisher, account: str, sample: Sample) -> None:
    message = OutgoingMessage(
        kind=MessageKind.REPLAY,  # sent by hand, as a replay is
        exchange=TRADES,
        routing_key=f"approved.{account}.{sample.symbol}",
        body=sample.body,
        correlation_id=sample.correlation_id,
        content_type="application/json",
    )
    [result] = await publisher.publish([message])
    if result is not PublishResult.CONFIRMED:
        raise Refused(f"RabbitMQ did not take {sample.symbol} ({sample.story})")


async def _first(task: asyncio.Task[None], ready: asyncio.Event) -> None:
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
