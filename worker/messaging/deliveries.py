"""What one consumer was given and has not acknowledged yet."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator

import structlog

from worker.domain.errors import ServiceUnavailable
from worker.domain.message import IncomingMessage
from worker.messaging.channel import Channel

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0

HELD_SECONDS = 900.0
"""After this time of failing a delivery goes back to its queue: RabbitMQ wants each acknowledged within 30 minutes."""

_log = structlog.get_logger()

Handler = Callable[[IncomingMessage], Awaitable[None]]


class Deliveries:
    """
    Hands the deliveries of one queue to a handler, in order and without waiting; acknowledges what it returns from.

    A handler that raises is called again with growing pauses, while the delivery stays unacknowledged: sending it back
    would bring it again at once, and would count as one of its deliveries. Belongs to one channel; when that has ended,
    running handlers end their work and nothing is acknowledged any more: RabbitMQ delivers again.
    """

    def __init__(self, channel: Channel, queue: str, handler: Handler, running: set[asyncio.Task[None]]) -> None:
        self._channel = channel
        self._queue = queue
        self._handler = handler
        self._running = running
        self._consumer: str | None = None
        self._released = asyncio.Event()
        self._open: dict[int, None] = {}
        self._done: list[int] = []
        self._outage_told = False

    async def begin(self) -> None:
        """Begin to receive."""
        self._released.clear()
        if self._consumer is None:
            self._consumer = await self._channel.consume(self._queue, self._arrived)

    async def pause(self) -> None:
        """Receive no more and give back what no handler is at work on; what is being handled is acknowledged later."""
        self._released.set()
        if self._consumer is not None:
            await self._channel.cancel(self._consumer)
            self._consumer = None

    def end(self) -> None:
        """Acknowledge what is done, and call no handler again: the channel has ended, or is about to."""
        self._acknowledge()
        self._released.set()

    def _arrived(self, tag: int, message: IncomingMessage) -> None:
        if self._released.is_set():
            self._channel.give_back(tag)
            return
        self._open[tag] = None
        task = asyncio.get_running_loop().create_task(self._handle(tag, message))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _handle(self, tag: int, message: IncomingMessage) -> None:
        for pause in _pauses():
            if await self._handled(message):
                self._settle(tag)
                return
            if await self._released_within(pause):
                break
        del self._open[tag]
        self._channel.give_back(tag)

    async def _handled(self, message: IncomingMessage) -> bool:
        try:
            await self._handler(message)
        except ServiceUnavailable as error:
            self._tell_outage(error)
        except Exception:  # noqa: BLE001 - one message's defect must not stop the others; it is logged whole
            _log.exception(
                "message not handled",
                queue=self._queue,
                message_id=message.message_id,
                meaning="it stays in RabbitMQ and is tried again; other messages go on",
            )
        else:
            self._outage_told = False
            return True
        return False

    def _tell_outage(self, error: ServiceUnavailable) -> None:
        if not self._outage_told:
            self._outage_told = True
            _log.warning("messages wait in rabbitmq", queue=self._queue, why=str(error))

    async def _released_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._released.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _settle(self, tag: int) -> None:
        if not self._done:
            # Handlers that shared a commit return in the same turn of the loop: one acknowledgement does for all.
            asyncio.get_running_loop().call_soon(self._acknowledge)
        self._done.append(tag)

    def _acknowledge(self) -> None:
        """Acknowledge what is done, with as few frames as possible."""
        done, self._done = sorted(self._done), []
        for tag in done:
            del self._open[tag]
        oldest_open = next(iter(self._open), math.inf)
        together = [tag for tag in done if tag < oldest_open]
        if together:
            self._channel.acknowledge(together[-1], multiple=True)
        for tag in done[len(together) :]:
            self._channel.acknowledge(tag)


def _pauses() -> Iterator[float]:
    """Yield 1, 2, 4 ... 60, 60 seconds, as long as a delivery may be held."""
    pause, held = FIRST_PAUSE_SECONDS, 0.0
    while held < HELD_SECONDS:
        yield pause
        held += pause
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
