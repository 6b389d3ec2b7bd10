"""A channel in confirm mode: which of the messages just published were taken, returned or refused."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Self

import structlog

from worker.domain.errors import MessagingUnavailable
from worker.domain.message import OutgoingMessage, PublishResult
from worker.messaging.channel import Channel
from worker.messaging.connection import AmqpConnection
from worker.messaging.errors import ChannelClosed

_log = structlog.get_logger()

_Address = tuple[str, str, str | None]


class ConfirmChannel:
    """Publishes one batch at a time and waits for what RabbitMQ says of each message in it."""

    def __init__(self, connection: AmqpConnection, channel: Channel) -> None:
        self._connection = connection
        self._channel = channel
        self._number = 0  # of the last message, as RabbitMQ counts them on this channel
        self._open: dict[int, int] = {}  # numbers without confirm, and their places in the batch
        self._returned: set[int] = set()
        self._addressed: defaultdict[_Address, deque[int]] = defaultdict(deque)
        self._results: list[PublishResult | None] = []
        self._all_said = asyncio.Event()

    @classmethod
    async def open(cls, connection: AmqpConnection) -> Self:
        """Open a channel and ask for confirms."""
        channel = await connection.channel()
        confirming = cls(connection, channel)
        await channel.confirm(confirming._on_confirm, confirming._on_return)
        channel.on_end(confirming._all_said.set)
        return confirming

    @property
    def is_open(self) -> bool:
        """Tell whether it can be used for another batch."""
        return self._channel.is_open

    async def until_ended(self) -> MessagingUnavailable:
        """Wait for the end of the channel and return its reason."""
        return await self._channel.until_ended()

    async def publish(self, messages: Sequence[OutgoingMessage], confirm_seconds: float) -> list[PublishResult | None]:
        """
        Publish all and wait for all confirms; None for those that RabbitMQ closed the channel over.

        What has no confirm after `confirm_seconds`, times of alarm not counted, is refused. Raises MessagingUnavailable
        when the connection is lost.
        """
        self._begin(len(messages))
        with self._connection.together():
            for place, message in enumerate(messages):
                self._send(place, message)
        if self._open:
            await self._until_confirmed(confirm_seconds)
        return self._results

    def _begin(self, size: int) -> None:
        self._results = [None] * size
        self._open.clear()
        self._returned.clear()
        self._addressed.clear()
        self._all_said.clear()

    def _send(self, place: int, message: OutgoingMessage) -> None:
        try:
            self._channel.publish(message)
        except ValueError as error:
            _log.error("message cannot be published", message_id=message.message_id, why=str(error))
            self._results[place] = PublishResult.REFUSED
            return
        self._number += 1
        self._open[self._number] = place
        self._addressed[message.exchange, message.routing_key, message.message_id].append(self._number)

    async def _until_confirmed(self, seconds: float) -> None:
        while not await self._no_more_is_open(seconds):
            if self._connection.flowing:
                await self._give_up(seconds)
                return
        if self._open and not isinstance(reason := await self._channel.until_ended(), ChannelClosed):
            raise reason

    async def _no_more_is_open(self, seconds: float) -> bool:
        """Wait until every message has its confirm, or none can have one any more; False when it takes too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._all_said.wait()
        except TimeoutError:
            return False
        return True

    async def _give_up(self, seconds: float) -> None:
        _log.error("rabbitmq confirms nothing", waited_seconds=seconds, count=len(self._open))
        for place in self._open.values():
            self._results[place] = PublishResult.REFUSED
        await self._channel.close()  # so that a late confirm is not taken for another message's

    def _on_return(self, exchange: str, routing_key: str, message_id: str | None) -> None:
        """Remember a return, which names no number, but comes in the order of publishing and before its confirm."""
        alike = self._addressed[exchange, routing_key, message_id]
        while (number := alike.popleft()) not in self._open:
            pass  # one before it, alike in all of this, was taken and confirmed
        self._returned.add(number)

    def _on_confirm(self, number: int, multiple: bool, taken: bool) -> None:  # noqa: FBT001 - AMQP's own fields
        numbers = [open_ for open_ in self._open if open_ <= number] if multiple else [number]
        for confirmed in numbers:
            place = self._open.pop(confirmed)
            self._results[place] = self._result(confirmed, taken=taken)
        if not self._open:
            self._all_said.set()

    def _result(self, number: int, *, taken: bool) -> PublishResult:
        if not taken:
            return PublishResult.REFUSED
        return PublishResult.RETURNED if number in self._returned else PublishResult.CONFIRMED
