"""A channel whose answers can be awaited: the one place where pika's callbacks become futures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pika import exceptions

from worker import failpoints
from worker.domain.errors import MessagingUnavailable
from worker.domain.message import IncomingMessage, OutgoingMessage
from worker.messaging import envelope
from worker.messaging.errors import ChannelClosed, ConsumerCancelled
from worker.messaging.waiting import settle

OnDelivery = Callable[[int, IncomingMessage], None]
OnConfirm = Callable[[int, bool, bool], None]
OnReturn = Callable[[str, str, str | None], None]


class Channel:
    """
    One AMQP channel, from its opening to its end; it is never opened again.

    A request raises ChannelClosed when RabbitMQ refuses it and MessagingUnavailable when the connection is lost.
    Delivery tags live and die with their channel: acknowledging one after its end does nothing.
    """

    def __init__(self, explain: Callable[[BaseException], MessagingUnavailable]) -> None:
        self._explain = explain
        self._raw: Any = None
        self._consumes = "nothing"  # what it receives, in a word: approved, dead, unroutable
        self._waiting: set[asyncio.Future[Any]] = set()
        self._end: asyncio.Future[MessagingUnavailable] = asyncio.get_running_loop().create_future()

    async def open(self, connection: Any) -> None:
        """Open the channel on a pika connection."""
        await self._answer(partial(self._open, connection))

    def _open(self, connection: Any, callback: Callable[[Any], None]) -> None:
        self._raw = connection.channel(on_open_callback=callback)
        self._raw.add_on_close_callback(lambda _channel, reason: self._ended(reason))

    @property
    def is_open(self) -> bool:
        """Tell whether the channel can still be used."""
        return not self._end.done() and self._raw is not None and self._raw.is_open

    async def until_ended(self) -> MessagingUnavailable:
        """Wait for the end of the channel and return its reason."""
        return await asyncio.shield(self._end)

    def on_end(self, call: Callable[[], None]) -> None:
        """Have this called as soon as the channel has ended."""
        self._end.add_done_callback(lambda _end: call())

    async def close(self) -> None:
        """Close the channel; deliveries without acknowledgement go back to their queue."""
        if self.is_open:
            self._raw.close()
            await self.until_ended()

    async def prefetch(self, count: int) -> None:
        """Limit the unacknowledged deliveries of each consumer of this channel."""
        await self._call("basic_qos", prefetch_count=count)

    async def declare_exchange(self, name: str, kind: str, arguments: Mapping[str, object]) -> None:
        """Create a durable exchange, or find it as described."""
        await self._call(
            "exchange_declare", exchange=name, exchange_type=kind, durable=True, arguments=dict(arguments) or None
        )

    async def find_exchange(self, name: str) -> None:
        """Find an exchange; ChannelClosed when there is none."""
        await self._call("exchange_declare", exchange=name, passive=True)

    async def declare_queue(self, name: str, arguments: Mapping[str, object]) -> None:
        """Create a durable queue, or find it as described."""
        await self._call("queue_declare", queue=name, durable=True, arguments=dict(arguments))

    async def declare_private_queue(self, name: str) -> None:
        """Create a queue that only this connection can use and that ends with it."""
        await self._call("queue_declare", queue=name, exclusive=True, auto_delete=True)

    async def find_queue(self, name: str) -> tuple[int, int]:
        """Return how many messages are ready in a queue, and its consumers; ChannelClosed when there is none."""
        found = (await self._call("queue_declare", queue=name, passive=True)).method
        return found.message_count, found.consumer_count

    async def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        """Let a queue receive what an exchange gets with this routing key."""
        await self._call("queue_bind", queue=queue, exchange=exchange, routing_key=routing_key)

    async def consume(self, queue: str, on_delivery: OnDelivery) -> str:
        """Begin to receive; returns the consumer's tag. The channel ends when RabbitMQ cancels the consumer."""

        def deliver(_channel: Any, method: Any, properties: Any, body: bytes) -> None:
            on_delivery(method.delivery_tag, envelope.incoming(method, properties, body))

        self._consumes = _short_name(queue)
        self._raw.add_on_cancel_callback(lambda _frame: self._cancelled(queue))
        answer = await self._call("basic_consume", queue=queue, on_message_callback=deliver)
        return str(answer.method.consumer_tag)

    async def cancel(self, consumer_tag: str) -> None:
        """Receive no more. What was delivered stays unacknowledged."""
        await self._call("basic_cancel", consumer_tag=consumer_tag)

    def acknowledge(self, tag: int, *, multiple: bool = False) -> None:
        """Let RabbitMQ forget a delivery, with `multiple` all up to it."""
        if self.is_open:
            failpoints.hit("amqp.ack.before", self._consumes)
            self._raw.basic_ack(tag, multiple=multiple)
            failpoints.hit("amqp.ack.after", self._consumes)

    def give_back(self, tag: int) -> None:
        """Return a delivery to its queue."""
        if self.is_open:
            failpoints.hit("amqp.nack.before", self._consumes)
            self._raw.basic_nack(tag, requeue=True)
            failpoints.hit("amqp.nack.after", self._consumes)

    async def confirm(self, on_confirm: OnConfirm, on_return: OnReturn) -> None:
        """
        Ask for publisher confirms.

        `on_confirm` gets the number of the message on this channel, whether it speaks for all up to it, and whether
        RabbitMQ took it. `on_return` gets exchange, routing key and message id of a message that no queue took.
        """

        def returned(_channel: Any, method: Any, properties: Any, _body: bytes) -> None:
            on_return(method.exchange, method.routing_key, properties.message_id)

        def confirmed(frame: Any) -> None:
            failpoints.hit("amqp.confirm.before")
            on_confirm(frame.method.delivery_tag, frame.method.multiple, frame.method.NAME == "Basic.Ack")
            failpoints.hit("amqp.confirm.after")

        self._raw.add_on_return_callback(returned)
        await self._call("confirm_delivery", ack_nack_callback=confirmed)

    def publish(self, message: OutgoingMessage) -> None:
        """Send a message, persistent and mandatory. Raises ValueError when AMQP cannot carry its envelope."""
        failpoints.hit("amqp.publish.before", message.kind)
        try:
            self._raw.basic_publish(
                message.exchange, message.routing_key, message.body, envelope.outgoing(message), mandatory=True
            )
        except exceptions.ShortStringTooLong:
            raise ValueError("a routing key, id or reply queue of it is longer than AMQP's 255 bytes") from None
        except (exceptions.AMQPConnectionError, exceptions.AMQPChannelError) as error:
            raise self._reason(error) from None
        failpoints.hit("amqp.publish.after", message.kind)

    async def may_publish(self, exchange: str) -> None:
        """
        Publish an empty message in a transaction and take it back: nothing leaves.

        ChannelClosed when this user may not, or there is no such exchange.
        """
        await self._call("tx_select")
        self._raw.basic_publish(exchange, "", b"")
        await self._call("tx_rollback")

    async def _call(self, method: str, **arguments: Any) -> Any:
        return await self._answer(partial(getattr(self._raw, method), **arguments))

    async def _answer(self, ask: Callable[..., Any]) -> Any:
        if self._end.done():
            raise self._end.result()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.add(answer)
        try:
            ask(callback=partial(settle, answer))
            return await answer
        except (exceptions.AMQPConnectionError, exceptions.AMQPChannelError) as error:
            raise self._reason(error) from None
        finally:
            self._waiting.discard(answer)

    def _reason(self, error: BaseException) -> MessagingUnavailable:
        return self._end.result() if self._end.done() else self._explain(error)

    def _cancelled(self, queue: str) -> None:
        self._finish(
            ConsumerCancelled(f"RabbitMQ cancelled the consumer of queue {queue}: it was deleted or is moving")
        )

    def _ended(self, reason: BaseException) -> None:
        if isinstance(reason, exceptions.ChannelClosedByBroker):
            self._finish(ChannelClosed(reason.reply_code, reason.reply_text))
        elif isinstance(reason, exceptions.ChannelClosedByClient):
            self._finish(MessagingUnavailable("this program has closed the channel"))
        else:
            self._finish(self._explain(reason))

    def _finish(self, reason: MessagingUnavailable) -> None:
        if not self._end.done():
            self._end.set_result(reason)
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(reason)


def _short_name(queue: str) -> str:
    """Return what the deliveries of a queue are called among the failpoints."""
    return queue.split(".")[1] if queue.count(".") else "private"
