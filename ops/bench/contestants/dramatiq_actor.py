"""
The durable steps as a Dramatiq actor: one process, several threads, a connection pool.

Dramatiq acknowledges when the actor returns. It has no setting for quorum queues: its broker is told about them where
it builds the arguments of a queue. The outcome goes out on the thread's own channel of the broker, with confirms.
"""

from __future__ import annotations

import signal
import uuid
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from psycopg_pool import ConnectionPool

from ops.bench.channel import PERSISTENT
from ops.bench.contestants import steps

THREADS = 32  # the library's default of 8 measured a little less, 64 the same


class QuorumBroker(RabbitmqBroker):
    """Declares its queues as quorum queues."""

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        arguments: dict[str, Any] = super()._build_queue_arguments(queue_name)  # type: ignore[no-untyped-call]
        return {**arguments, "x-queue-type": "quorum"}


def message_of(body: str) -> bytes:
    """Return what Dramatiq puts into its queue for a call of the actor with this body."""
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=steps.QUEUE_OF_DRAMATIQ, actor_name="handle", args=(body,), kwargs={}, options={}
    )
    return message.encode()


def declare(amqp_url: str) -> None:
    """Declare its queue, before messages are put into it."""
    broker = QuorumBroker(url=amqp_url)
    broker.declare_queue(steps.QUEUE_OF_DRAMATIQ, ensure=True)
    broker.close()


def run(amqp_url: str, database_url: str) -> None:
    """Run until the process is ended."""
    broker = QuorumBroker(url=amqp_url, confirm_delivery=True)
    pool = ConnectionPool(database_url, min_size=THREADS, kwargs={"autocommit": True}, open=True)
    pool.wait()

    @dramatiq.actor(broker=broker, queue_name=steps.QUEUE_OF_DRAMATIQ)
    def handle(body: str) -> None:
        number = uuid.uuid4()
        with pool.connection() as database:
            database.execute(steps.ARRIVED, (number, body.encode()))
            database.execute(steps.CAME_OF_IT, (number, steps.OUTCOME))
        broker.channel.basic_publish(steps.EXCHANGE, steps.ROUTING_KEY, steps.OUTCOME, PERSISTENT)

    dramatiq.Worker(broker, worker_threads=THREADS).start()
    signal.pause()


if __name__ == "__main__":
    run(*steps.urls())
