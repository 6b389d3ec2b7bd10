"""The topology in a real RabbitMQ: declared, found, missing, different."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.fixtures.amqp import depth, trade, until_ready
from tests.fixtures.outbox import confirmation
from worker.domain.message import PublishResult
from worker.messaging.connection import AmqpConnection, connected
from worker.messaging.declaration import check, declare
from worker.messaging.publisher import Publisher
from worker.messaging.topology import topology

pytestmark = pytest.mark.services


@pytest.fixture
async def empty(amqp_url: str) -> AsyncIterator[AmqpConnection]:
    async with connected(amqp_url, "test") as connection:
        yield connection


async def test_declaring_twice_changes_nothing(empty: AmqpConnection) -> None:
    wanted = topology(["main", "second"])

    assert await declare(empty, wanted) == []
    assert await declare(empty, wanted) == []
    assert await check(empty, wanted) == []


async def test_the_check_names_all_that_is_missing_and_creates_nothing(empty: AmqpConnection) -> None:
    wanted = topology(["main"])

    first, second = await check(empty, wanted), await check(empty, wanted)

    assert first == second
    assert len(first) == len(wanted.exchanges) + len(wanted.queues)
    assert all("is missing: run `mt5-worker topology declare`" in sentence for sentence in first)


async def test_only_the_new_account_is_missing(amqp: AmqpConnection) -> None:
    [sentence] = await check(amqp, topology(["main", "new"]))

    assert sentence.startswith("queue trades.approved.new is missing")


async def test_a_queue_with_other_arguments_is_explained(empty: AmqpConnection) -> None:
    channel = await empty.channel()
    await channel.declare_queue("trades.approved.main", {"x-queue-type": "classic"})

    [sentence] = await declare(empty, topology(["main"]))

    assert sentence.startswith("queue trades.approved.main exists with other arguments")
    assert "delete it when it is empty" in sentence


async def test_a_trade_for_an_unknown_account_is_kept(amqp: AmqpConnection) -> None:
    stray = replace(trade(1), routing_key="approved.nobody.EURUSD")

    assert await Publisher(amqp).publish([stray]) == [PublishResult.CONFIRMED]

    await until_ready(amqp, "trades.unroutable", 1)


async def test_a_confirmation_without_subscriber_is_kept(amqp: AmqpConnection) -> None:
    assert await Publisher(amqp).publish([confirmation(1)]) == [PublishResult.CONFIRMED]

    await until_ready(amqp, "executions.unrouted", 1)


async def test_a_trade_goes_to_its_account_and_nowhere_else(empty: AmqpConnection) -> None:
    await declare(empty, topology(["main", "main2"]))

    await Publisher(empty).publish([trade(1)])

    await until_ready(empty, "trades.approved.main", 1)
    assert (await depth(empty, "trades.approved.main2")).messages == 0
