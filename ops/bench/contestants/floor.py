"""
The floor of a latency: one hop through a quorum queue and one commit.

What waits is committed together, a row each, as it is when messages come faster than a disk writes.
"""

from __future__ import annotations

import json
import time
import uuid

import psycopg

from ops.bench.channel import Delivery, open_channel, open_connection
from ops.bench.contestants import steps
from ops.bench.waiting import Waiting

_PREFETCH = 1000


async def take(amqp_url: str, database_url: str, count: int) -> dict[str, float]:
    """Take so many approvals from the contestants' queue; return when each was committed (since 1970), by trade id."""
    deliveries: Waiting[Delivery] = Waiting()
    committed: list[tuple[float, bytes]] = []
    async with open_connection(amqp_url) as connection:
        database = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
        channel = await open_channel(connection)
        await channel.consume(steps.QUEUE, _PREFETCH, deliveries.put)
        async with database:
            while len(committed) < count:
                batch = await deliveries.take()
                await database.execute(steps.ALL_ARRIVED, ([uuid.uuid4() for _ in batch], [body for _, body in batch]))
                now = time.time()
                channel.acknowledge(batch[-1][0])
                committed += [(now, body) for _, body in batch]
    return {json.loads(body)["decision"]["order_id"]: moment for moment, body in committed}
