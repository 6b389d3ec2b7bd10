"""What RabbitMQ does with a message, and what the publisher says about it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.fixtures.amqp import TRADE_QUEUE, depth, trade, until_ready
from tests.fixtures.outbox import confirmation, reply
from worker.domain.message import OutgoingMessage, PublishResult
from worker.messaging.connection import AmqpConnection
from worker.messaging.publisher import Publisher

pytestmark = pytest.mark.services

CONFIRMED, RETURNED, REFUSED = PublishResult.CONFIRMED, PublishResult.RETURNED, PublishResult.REFUSED


async def test_a_message_with_a_queue_is_confirmed(amqp: AmqpConnection) -> None:
    assert await Publisher(amqp).publish([trade(1)]) == [CONFIRMED]

    await until_ready(amqp, TRADE_QUEUE, 1)


async def test_a_message_without_a_queue_is_returned(amqp: AmqpConnection) -> None:
    assert await Publisher(amqp).publish([reply("nobody")]) == [RETURNED]


async def test_only_the_returned_ones_of_a_batch_are_called_returned(amqp: AmqpConnection) -> None:
    batch = [trade(number) if number % 3 else reply(f"nobody-{number}", number) for number in range(300)]

    results = await Publisher(amqp).publish(batch)

    assert results == [CONFIRMED if number % 3 else RETURNED for number in range(300)]


async def test_a_batch_of_many_pieces_arrives_whole_and_in_order(amqp: AmqpConnection) -> None:
    channel, arrived = await amqp.channel(), asyncio.Queue[bytes]()
    batch = [replace(reply("asker", number), body=b"%d" % number * (50_000 * (number % 3) + 1)) for number in range(30)]
    await channel.declare_private_queue("asker")
    await channel.consume("asker", lambda _tag, message: arrived.put_nowait(message.body))

    assert await Publisher(amqp).publish(batch) == [CONFIRMED] * 30

    assert [await arrived.get() for _ in batch] == [message.body for message in batch]


async def test_a_missing_exchange_refuses_its_messages_and_no_others(amqp: AmqpConnection) -> None:
    publisher = Publisher(amqp)

    with capture_logs() as logs:
        results = await publisher.publish(
            [trade(1), confirmation(2, exchange="nowhere"), trade(3), confirmation(4, exchange="nowhere"), trade(5)]
        )

    assert results == [CONFIRMED, REFUSED, CONFIRMED, REFUSED, CONFIRMED]
    [line] = logs
    assert "no exchange 'nowhere'" in line["why"]
    assert await publisher.publish([trade(6)]) == [CONFIRMED]


@pytest.mark.parametrize(
    "too_long",
    [
        lambda message: replace(message, routing_key="k" * 256),
        lambda message: replace(message, correlation_id="c" * 256),
        lambda message: replace(message, message_id="é" * 128),
        lambda message: replace(message, headers={"failure-stack": "x" * 140_000}),
        lambda message: replace(message, headers={"n" * 256: "x"}),
        lambda message: replace(message, correlation_id="\ud800"),
    ],
    ids=["routing key", "correlation id", "message id", "headers", "header name", "no UTF-8"],
)
async def test_an_envelope_that_amqp_cannot_carry_is_refused_and_the_channel_lives(
    amqp: AmqpConnection, too_long: Callable[[OutgoingMessage], OutgoingMessage]
) -> None:
    assert await Publisher(amqp).publish([trade(1), too_long(trade(2)), trade(3)]) == [CONFIRMED, REFUSED, CONFIRMED]


async def test_headers_as_large_as_they_may_be_arrive(amqp: AmqpConnection) -> None:
    large = replace(trade(1), headers={"failure-stack": "x" * 99_000})

    assert await Publisher(amqp).publish([large]) == [CONFIRMED]


async def test_a_message_alike_one_that_was_taken_before_is_returned_itself(amqp: AmqpConnection) -> None:
    publisher = Publisher(amqp)
    channel = await amqp.channel()
    await channel.declare_private_queue("asker")
    consumer = await channel.consume("asker", lambda _tag, _message: None)

    first = await publisher.publish([reply("asker")])
    await channel.cancel(consumer)  # the last consumer of an auto-delete queue

    assert first == [CONFIRMED]
    assert await publisher.publish([reply("asker"), trade(1), reply("asker")]) == [RETURNED, CONFIRMED, RETURNED]


async def test_a_full_queue_that_rejects_refuses(amqp: AmqpConnection) -> None:
    channel = await amqp.channel()
    await channel.declare_queue("full", {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"})
    publisher = Publisher(amqp)

    results = [(await publisher.publish([reply("full", number)]))[0] for number in range(10)]

    assert results[0] is CONFIRMED
    assert results[-1] is REFUSED


async def test_two_megabytes_arrive_as_they_left(amqp: AmqpConnection) -> None:
    body = bytes(range(256)) * 8192
    channel = await amqp.channel()
    received: list[bytes] = []

    assert await Publisher(amqp).publish([trade(1, body=body)]) == [CONFIRMED]

    await channel.consume(TRADE_QUEUE, lambda _tag, message: received.append(message.body))
    await until_ready(amqp, TRADE_QUEUE, 0)
    while not received:
        await depth(amqp, TRADE_QUEUE)  # a round trip on the same connection
    assert received == [body]


async def test_everything_in_the_envelope_arrives(amqp: AmqpConnection) -> None:
    channel = await amqp.channel()
    received = []
    sent = replace(trade(1), reply_to="me", correlation_id="c", headers={"traceparent": "00-ab-cd-01", "ü": "ß"})

    await Publisher(amqp).publish([sent])

    await channel.consume(TRADE_QUEUE, lambda _tag, message: received.append(message))
    while not received:
        await depth(amqp, TRADE_QUEUE)
    [message] = received
    assert (message.exchange, message.routing_key, message.message_id) == ("trades", "approved.main.EURUSD", "1")
    assert (message.reply_to, message.correlation_id, message.content_type) == ("me", "c", "application/json")
    assert message.headers == {"traceparent": "00-ab-cd-01", "ü": "ß"}
    assert not message.redelivered
