"""RabbitMQ goes away and comes back: the worker waits, says so once, and loses nothing."""

import asyncio
import secrets
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ops.services import Services
from ops.services.rabbitmq import PrivateRabbitMQ
from tests.fixtures.amqp import TRADE_QUEUE, trade, until, until_ready
from tests.fixtures.outbox import MemoryOutbox, confirmation
from worker.domain.errors import MessagingUnavailable
from worker.domain.message import IncomingMessage, PublishResult
from worker.messaging.connection import AmqpConnection, connected
from worker.messaging.consumer import Consumer
from worker.messaging.declaration import declare
from worker.messaging.errors import AccessRefused
from worker.messaging.lifeline import Lifeline
from worker.messaging.publisher import Publisher
from worker.messaging.relay import Relay
from worker.messaging.topology import topology
from worker.observability import Outage

pytestmark = pytest.mark.services

MESSAGES = 300


@pytest.fixture
async def url(own_services: Services) -> AsyncIterator[str]:
    """Make a virtual host with the topology on a node that may be stopped."""
    name = f"outages_{secrets.token_hex(4)}"
    made = await asyncio.to_thread(own_services.new_vhost, name)
    async with connected(made, "test") as connection:
        assert await declare(connection, topology(["main"])) == []
    yield made
    await asyncio.to_thread(own_services.delete_vhost, name)


@pytest.fixture
def memory_alarm(own_services: Services) -> Iterator[Callable[[float], None]]:
    """Set the share of the machine's memory over which RabbitMQ raises its alarm."""
    node = own_services.rabbitmq
    if not isinstance(node, PrivateRabbitMQ):
        pytest.skip("needs a node of our own, for rabbitmqctl")
    command = node.command()
    rabbitmqctl = Path(command.argv[0]).with_name("rabbitmqctl")

    def set_share(share: float) -> None:
        subprocess.run(
            [rabbitmqctl, "set_vm_memory_high_watermark", str(share)],
            env=command.environment,
            check=True,
            capture_output=True,
            timeout=60,
        )

    yield set_share
    set_share(0.4)


async def test_every_trade_is_handled_although_rabbitmq_loses_power(own_services: Services, url: str) -> None:
    async with connected(url, "test") as connection:
        await Publisher(connection).publish([trade(number) for number in range(MESSAGES)])
    # RabbitMQ forgets a queue that was declared a moment before it is killed: an orderly end writes it down.
    await asyncio.to_thread(own_services.rabbitmq.restart)
    handled: set[str | None] = set()

    async def handle(message: IncomingMessage) -> None:
        await asyncio.sleep(0.05)  # so that an outage meets deliveries which are being handled
        handled.add(message.message_id)

    consumer = Consumer(Lifeline(url, "test consumer", Outage("rabbitmq", "trades wait")), {TRADE_QUEUE: handle}, 2)
    with capture_logs() as logs:
        running = asyncio.create_task(consumer.run())
        await until(lambda: len(handled) > MESSAGES / 10)
        await asyncio.to_thread(_cut_power, own_services)
        await until(lambda: len(handled) == MESSAGES, within=60)
        await consumer.stop(within=5)
        await running

    async with connected(url, "test") as connection:
        await until_ready(connection, TRADE_QUEUE, 0)
    assert [line["event"] for line in logs] == ["rabbitmq lost", "rabbitmq back"]
    assert logs[0]["meaning"] == "trades wait"
    assert logs[1]["after_seconds"] > 0


async def test_every_confirmation_leaves_although_rabbitmq_restarts(own_services: Services, url: str) -> None:
    outbox = MemoryOutbox()
    relay = Relay(Lifeline(url, "test relay", Outage("rabbitmq", "confirmations wait")), outbox)

    async def commit_during(outage: Callable[[], None]) -> None:
        gone = asyncio.create_task(asyncio.to_thread(outage))
        while not gone.done():
            outbox.put(confirmation(len(outbox.results) + len(outbox.rows)))
            await asyncio.sleep(0.01)
        await gone
        await outbox.until_empty(60)

    with capture_logs() as logs:
        running = asyncio.create_task(relay.run())
        await until(lambda: relay.connected)
        await commit_during(own_services.rabbitmq.restart)
        await relay.stop(within=5)
        await running

    async with connected(url, "test") as connection:
        arrived = await _message_ids(connection, "executions.unrouted", len(outbox.results))
    assert arrived == {f"{number}:1" for number in range(len(outbox.results))}
    assert [line["event"] for line in logs] == ["rabbitmq lost", "rabbitmq back"]


def _cut_power(services: Services) -> None:
    services.rabbitmq.kill()
    services.rabbitmq.restart()


async def test_a_handler_that_ends_after_the_outage_acknowledges_nothing_old(own_services: Services, url: str) -> None:
    async with connected(url, "test") as connection:
        await Publisher(connection).publish([trade(1), trade(2)])
    begun: list[tuple[str | None, bool]] = []
    first_two, redelivered, gate = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(message: IncomingMessage) -> None:
        begun.append((message.message_id, message.redelivered))
        if len(begun) == 2:
            first_two.set()
        if len(begun) == 4:
            redelivered.set()
        await gate.wait()

    consumer = Consumer(Lifeline(url, "test consumer", Outage("rabbitmq", "trades wait")), {TRADE_QUEUE: handle}, 10)
    with capture_logs() as logs:
        running = asyncio.create_task(consumer.run())
        await first_two.wait()
        await asyncio.to_thread(own_services.rabbitmq.restart)
        await asyncio.wait_for(redelivered.wait(), 60)
        gate.set()
        await consumer.stop(within=5)
        await running

    assert sorted(begun[2:]) == [("1", True), ("2", True)]
    # An acknowledgement of an old delivery would have closed the new channel, and that would be a second loss.
    assert [line["event"] for line in logs] == ["rabbitmq lost", "rabbitmq back"]
    async with connected(url, "test") as connection:
        await until_ready(connection, TRADE_QUEUE, 0)


async def test_a_silent_rabbitmq_is_noticed_by_its_missing_heartbeat(own_services: Services, url: str) -> None:
    async with connected(f"{url}?heartbeat=2", "test") as connection:
        await asyncio.to_thread(own_services.rabbitmq.pause)
        try:
            with pytest.raises(MessagingUnavailable, match="stopped answering"):
                await asyncio.wait_for(connection.until_lost(), 15)
        finally:
            await asyncio.to_thread(own_services.rabbitmq.resume)


async def test_publishing_waits_while_rabbitmq_has_an_alarm(url: str, memory_alarm: Callable[[float], None]) -> None:
    results: list[PublishResult] = []

    async def publish_on_and_on(connection: AmqpConnection) -> None:
        publisher = Publisher(connection, confirm_seconds=2)  # a busy machine may take a second to confirm one
        while True:
            results.extend(await publisher.publish([trade(len(results))]))

    async with connected(url, "test") as connection:
        with capture_logs() as logs:
            publishing = asyncio.create_task(publish_on_and_on(connection))
            await asyncio.to_thread(memory_alarm, 0.00001)
            await until(lambda: not connection.flowing)
            before = len(results)
            await asyncio.wait({publishing}, timeout=3)  # longer than a confirmation may take when nothing is blocked
            assert before <= len(results) <= before + 1

            await asyncio.to_thread(memory_alarm, 0.4)
            await until(lambda: len(results) > before + 1)
            publishing.cancel()

    assert set(results) == {PublishResult.CONFIRMED}
    assert [line["event"] for line in logs] == ["rabbitmq takes no messages", "rabbitmq takes messages again"]


async def test_what_is_not_confirmed_in_time_is_refused_and_the_next_goes_out(own_services: Services, url: str) -> None:
    async with connected(url, "test") as connection:
        publisher = Publisher(connection, confirm_seconds=0.3)
        assert await publisher.publish([trade(1)]) == [PublishResult.CONFIRMED]
        await asyncio.to_thread(own_services.rabbitmq.pause)
        try:
            with capture_logs() as logs:
                publishing = asyncio.create_task(publisher.publish([trade(2)]))
                await until(lambda: bool(logs))
        finally:
            await asyncio.to_thread(own_services.rabbitmq.resume)

        assert await asyncio.wait_for(publishing, 20) == [PublishResult.REFUSED]
        assert [line["event"] for line in logs] == ["rabbitmq confirms nothing"]
        assert await Publisher(connection).publish([trade(3)]) == [PublishResult.CONFIRMED]


async def test_wrong_credentials_and_virtual_hosts_are_told_apart(own_services: Services) -> None:
    right = own_services.amqp_url

    with pytest.raises(AccessRefused, match="refused user 'nobody'"):
        await AmqpConnection.open(right.replace("services:", "nobody:"), "test")
    with pytest.raises(AccessRefused, match=r"virtual host 'nowhere'.*not found"):
        await AmqpConnection.open(right.replace("%2F", "nowhere"), "test")


async def test_a_lifeline_keeps_trying_with_wrong_credentials_and_says_so_once(own_services: Services) -> None:
    wrong = own_services.amqp_url.replace("services:", "nobody:")
    lifeline = Lifeline(wrong, "test", Outage("rabbitmq", "nothing works"))
    with capture_logs() as logs:
        keeping = asyncio.create_task(lifeline.keep(_never))
        await asyncio.sleep(3)  # the passing of time is the story
        await lifeline.end(within=0)
        await keeping

    [line] = logs
    assert line["event"] == "rabbitmq lost"
    assert "correct AMQP_URL" in line["why"]


async def _message_ids(connection: AmqpConnection, queue: str, count: int) -> set[str | None]:
    """Empty a queue and return the ids of at least so many different messages."""
    found: set[str | None] = set()
    channel = await connection.channel()

    def take(tag: int, message: IncomingMessage) -> None:
        channel.acknowledge(tag)
        found.add(message.message_id)

    await channel.consume(queue, take)
    await until(lambda: len(found) >= count)
    return found


async def _never(_connection: AmqpConnection, _at_work: Callable[[], None]) -> None:
    raise AssertionError("nobody should get in")
