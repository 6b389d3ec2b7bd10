"""Publishes messages and tells what RabbitMQ did with each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import structlog

from worker.domain.message import OutgoingMessage, PublishResult
from worker.messaging.confirms import ConfirmChannel
from worker.messaging.connection import AmqpConnection

CONFIRM_SECONDS = 30.0
"""A queue without a majority of its nodes never confirms; others must not wait for it."""

_log = structlog.get_logger()


class Publisher:
    """
    Publishes over one channel of a connection, with confirms and `mandatory`; one batch at a time.

    RabbitMQ closes a channel over one bad message (an exchange that does not exist, a missing right, a body over its
    limit) and does not say which one. Then all that lacks a confirm is published again one by one, so that a good
    message is never refused for a bad one's sake. Messages can come twice that way.
    """

    def __init__(self, connection: AmqpConnection, confirm_seconds: float = CONFIRM_SECONDS) -> None:
        self._connection = connection
        self._confirm_seconds = confirm_seconds
        self._channel: ConfirmChannel | None = None

    async def publish(self, messages: Sequence[OutgoingMessage]) -> list[PublishResult]:
        """
        Publish all, then wait for all confirms; returns a result for each message, in their order.

        Waits while RabbitMQ takes no messages. Raises MessagingUnavailable when the connection is lost: then each of
        them may or may not have been published.
        """
        refusals: Counter[str] = Counter()
        results = await self._attempt(messages, refusals)
        for place, message in enumerate(messages):
            if results[place] is None and len(messages) > 1:
                [results[place]] = await self._attempt([message], refusals)
        for why, times in refusals.items():
            _log.error("rabbitmq refused to publish", why=why, times=times)
        return [result or PublishResult.REFUSED for result in results]

    async def _attempt(self, messages: Sequence[OutgoingMessage], refusals: Counter[str]) -> list[PublishResult | None]:
        await self._connection.until_flowing()
        if self._channel is None or not self._channel.is_open:
            self._channel = await ConfirmChannel.open(self._connection)
        results = await self._channel.publish(messages, self._confirm_seconds)
        if None in results:
            refusals[str(await self._channel.until_ended())] += 1
        return results
