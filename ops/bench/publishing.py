"""
Publishes approved trades as fast as RabbitMQ confirms them, or at a steady rate.

The steady rate is kept by a process of its own, so that whoever measures does not disturb it::

    python -m ops.bench.publishing RATE SECONDS   (the URL of RabbitMQ on standard input)

It prints one JSON object: the time of publishing (seconds since 1970) by trade id.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ops.bench.approvals import Approval, approvals
from ops.bench.channel import open_channel, open_connection

_UNCONFIRMED = 500  # far below what makes RabbitMQ hold a publisher back


async def publish(amqp_url: str, exchange: str, messages: Iterable[tuple[str, bytes]]) -> None:
    """Publish all of them, each a routing key and a body; return when RabbitMQ has confirmed each."""
    async with open_connection(amqp_url) as connection:
        channel = await open_channel(connection)
        left = iter(messages)
        while batch := list(itertools.islice(left, _UNCONFIRMED)):
            for routing_key, body in batch:
                channel.publish(exchange, routing_key, body)
            await channel.confirmed()


async def publish_at(
    amqp_url: str, messages: Iterable[Approval], rate: float, exchange: str = "trades"
) -> dict[str, float]:
    """Publish `rate` of them a second by a schedule fixed at the start; return when each was published."""
    times: dict[str, float] = {}
    async with open_connection(amqp_url) as connection:
        channel = await open_channel(connection)
        began = time.perf_counter()
        for number, message in enumerate(messages):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            times[message.trade_id] = time.time()
            channel.publish(exchange, message.routing_key, message.body)
        await channel.confirmed()
    return times


class SteadyPublisher:
    """The process that publishes at a steady rate."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def times(self) -> dict[str, float]:
        """Wait for its end; return when each trade was published, in seconds since 1970, by trade id."""
        output, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"the publisher ended with {self._process.returncode}")
        times: dict[str, float] = json.loads(output)
        return times


@contextmanager
def steady_publisher(amqp_url: str, rate: float, seconds: float, exchange: str = "trades") -> Iterator[SteadyPublisher]:
    """Start a process that publishes so many trades a second for so long."""
    command = [sys.executable, "-m", "ops.bench.publishing", str(rate), str(seconds), exchange]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this module
        if process.stdin is not None:
            process.stdin.write(f"{amqp_url}\n")
            process.stdin.flush()
        try:
            yield SteadyPublisher(process)
        finally:
            process.terminate()


def main(rate: float, seconds: float, exchange: str) -> None:
    """Publish, then tell when."""
    amqp_url = sys.stdin.readline().strip()
    messages = itertools.islice(approvals(), round(rate * seconds))
    json.dump(asyncio.run(publish_at(amqp_url, messages, rate, exchange)), sys.stdout)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
