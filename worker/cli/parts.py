"""What commands need of the worker's parts, opened as the settings say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from worker import failpoints
from worker.clock import SystemClock
from worker.ledger.operators import Operator, operator
from worker.messaging.connection import AmqpConnection, connected
from worker.observability import configure_logging
from worker.settings import Settings, read_settings


def settings() -> Settings:
    """Read the settings for a command that a person has typed: only what went wrong is logged."""
    found = read_settings()
    configure_logging("WARNING", found.log_format, found.secrets)
    failpoints.arm(found.failpoints, found.failpoints_log)
    return found


@asynccontextmanager
async def ledger(found: Settings) -> AsyncIterator[Operator]:
    """Hold an operator's connection to the ledger."""
    async with operator(found.need_postgres_url(), SystemClock()) as desk:
        yield desk


@asynccontextmanager
async def rabbitmq(found: Settings, command: str) -> AsyncIterator[AmqpConnection]:
    """Hold a connection to RabbitMQ that bears the command's name there."""
    async with connected(found.need_amqp_url(), f"mt5-worker {command}") as connection:
        yield connection
