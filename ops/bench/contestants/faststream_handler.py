"""
The durable steps as a FastStream handler over asyncio and a connection pool.

FastStream's RabbitMQ subscribers are concurrent by themselves: as many messages are handled at once as are
prefetched. Its publisher waits for confirms; the message is acknowledged when the handler returns.
"""

from __future__ import annotations

import asyncio
import uuid

from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.annotations import RabbitMessage
from psycopg_pool import AsyncConnectionPool

from ops.bench.contestants import steps

PREFETCH = 20  # 10 to 50 measured alike, with as many connections and with fewer
CONNECTIONS = 20


def application(amqp_url: str, pool: AsyncConnectionPool) -> FastStream:
    """Return the application with its one handler."""
    broker = RabbitBroker(
        amqp_url,
        default_channel=Channel(prefetch_count=PREFETCH, publisher_confirms=True),
        logger=None,  # it writes two lines a message otherwise
    )
    confirmations = RabbitExchange(steps.EXCHANGE, type=ExchangeType.TOPIC, declare=False)
    queue = RabbitQueue(steps.QUEUE, queue_type=QueueType.QUORUM, durable=True)

    @broker.subscriber(queue, ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True)
    async def handle(message: RabbitMessage) -> None:
        number = uuid.uuid4()
        async with pool.connection() as database:
            await database.execute(steps.ARRIVED, (number, message.body))
            await database.execute(steps.CAME_OF_IT, (number, steps.OUTCOME))
        await broker.publish(steps.OUTCOME, exchange=confirmations, routing_key=steps.ROUTING_KEY, persist=True)

    return FastStream(broker)


async def run(amqp_url: str, database_url: str) -> None:
    """Run until the process is ended."""
    pool = AsyncConnectionPool(database_url, min_size=CONNECTIONS, kwargs={"autocommit": True}, open=False)
    async with pool:
        await pool.wait()
        await application(amqp_url, pool).run()


if __name__ == "__main__":
    asyncio.run(run(*steps.urls()))
