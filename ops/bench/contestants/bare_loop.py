"""
The bare loop: the least that the durable steps take, with everything that waits done together.

One half commits what arrived; the other commits what came of it, publishes that, waits for the confirms and
acknowledges, while the first half is at the next batch already.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

import psycopg

from ops.bench.channel import Channel, Delivery, open_channel, open_connection
from ops.bench.contestants import steps
from ops.bench.waiting import Waiting

_PREFETCH = 1000


@dataclass(frozen=True)
class Arrived:
    """Messages that have been committed together: their ids, and the delivery tag of the last."""

    ids: list[uuid.UUID]
    last: int


async def commit_arrivals(database_url: str, deliveries: Waiting[Delivery], arrivals: Waiting[Arrived]) -> None:
    """Commit what has arrived, again and again."""
    database = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    while True:
        batch = await deliveries.take()
        ids = [uuid.uuid4() for _ in batch]
        await database.execute(steps.ALL_ARRIVED, (ids, [body for _, body in batch]))
        arrivals.put(Arrived(ids, batch[-1][0]))


async def commit_outcomes(database_url: str, arrivals: Waiting[Arrived], incoming: Channel, outgoing: Channel) -> None:
    """Commit what came of it, publish it and acknowledge, again and again."""
    database = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    while True:
        batches = await arrivals.take()
        ids = [one for batch in batches for one in batch.ids]
        await database.execute(steps.CAME_OF_ALL, (ids, [steps.OUTCOME] * len(ids)))
        for _ in ids:
            outgoing.publish(steps.EXCHANGE, steps.ROUTING_KEY, steps.OUTCOME)
        await outgoing.confirmed()
        incoming.acknowledge(batches[-1].last)


async def run(amqp_url: str, database_url: str) -> None:
    """Run until the process is ended."""
    deliveries: Waiting[Delivery] = Waiting()
    arrivals: Waiting[Arrived] = Waiting()
    async with open_connection(amqp_url) as consuming, open_connection(amqp_url) as publishing:
        incoming, outgoing = await open_channel(consuming), await open_channel(publishing)
        await incoming.consume(steps.QUEUE, _PREFETCH, deliveries.put)
        async with asyncio.TaskGroup() as group:
            group.create_task(commit_arrivals(database_url, deliveries, arrivals))
            group.create_task(commit_outcomes(database_url, arrivals, incoming, outgoing))


if __name__ == "__main__":
    asyncio.run(run(*steps.urls()))
