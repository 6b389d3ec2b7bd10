"""
The durable steps that all contestants take with each message, and where they take them.

What arrived is committed; what came of it, as large as a confirmation, is committed; that is published with a confirm;
then the message is acknowledged.
"""

from __future__ import annotations

import os
from pathlib import Path

import pika
import psycopg

QUEUE = "bench.contestant"  # and the name of an exchange that leads there
QUEUE_OF_DRAMATIQ = "bench.dramatiq"  # it declares its own, with arguments of its own
EXCHANGE = "executions"
ROUTING_KEY = "confirmation.filled.main.EURUSD"
OUTCOME = (Path(__file__).parents[3] / "schemas" / "examples" / "confirmation.filled.json").read_bytes()

ARRIVED = "insert into bench.arrivals (id, body) values (%b, %b)"
CAME_OF_IT = "insert into bench.outcomes (id, body) values (%b, %b)"
ALL_ARRIVED = "insert into bench.arrivals (id, body) select * from unnest(%b::uuid[], %b::bytea[])"
CAME_OF_ALL = "insert into bench.outcomes (id, body) select * from unnest(%b::uuid[], %b::bytea[])"

_TABLES = """
create schema if not exists bench;
create table if not exists bench.arrivals (id uuid primary key, body bytea not null);
create table if not exists bench.outcomes (id uuid primary key, body bytea not null);
"""


def prepare(amqp_url: str, database_url: str) -> None:
    """Make the tables, and the queue with which all begin but Dramatiq."""
    with psycopg.connect(database_url) as connection:
        connection.execute(_TABLES)
    rabbitmq = pika.BlockingConnection(pika.URLParameters(amqp_url))
    channel = rabbitmq.channel()
    channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    channel.exchange_declare(QUEUE, "fanout", durable=True)
    channel.queue_bind(QUEUE, QUEUE)
    rabbitmq.close()


def urls() -> tuple[str, str]:
    """Return the URLs of RabbitMQ and PostgreSQL that the worker is given as well."""
    return os.environ["AMQP_URL"], os.environ["POSTGRES_URL"]
