"""A worker process with a publisher and a subscriber around it; knows the worker only by its messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

EXAMPLE = Path(__file__).parents[2] / "schemas" / "examples" / "rpm-output.approved.json"
SYMBOLS = ("EURUSD", "GBPUSD", "AUDUSD", "USDJPY", "EURJPY")
PATIENCE_SECONDS = 120


class Rig:
    """Publishes approved trades and waits for their confirmations."""

    def __init__(self, amqp_url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
        self._channel: BlockingChannel = self._connection.channel()
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.queue_bind(self._queue, "executions", "confirmation.#")
        self._example: dict[str, Any] = json.loads(EXAMPLE.read_text())
        self._sent: dict[str, float] = {}
        self._times: list[float] = []
        self._channel.basic_consume(self._queue, self._confirmed, auto_ack=True)

    def burst(self, count: int) -> float:
        """Publish that many at once; return the seconds until the last is confirmed."""
        began = time.perf_counter()
        for number in range(count):
            self._publish(number)
        self._drain()
        return time.perf_counter() - began

    def trickle(self, rate: int, seconds: int) -> list[float]:
        """Publish `rate` trades a second; return each one's seconds from publish to confirmation."""
        self._times.clear()
        began = time.perf_counter()
        for number in range(rate * seconds):
            due = began + number / rate
            while (wait := due - time.perf_counter()) > 0:
                self._connection.process_data_events(wait)
            self._publish(number)
        self._drain()
        return list(self._times)

    def close(self) -> None:
        """Leave RabbitMQ."""
        self._connection.close()

    def _publish(self, number: int) -> None:
        symbol, trade_id = SYMBOLS[number % len(SYMBOLS)], str(uuid.uuid4())
        message = self._approved(symbol, trade_id)
        self._sent[trade_id] = time.perf_counter()
        properties = pika.BasicProperties(content_type="application/json", delivery_mode=2)
        self._channel.basic_publish("trades", f"approved.main.{symbol}", json.dumps(message), properties)

    def _approved(self, symbol: str, trade_id: str) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat()
        decision = self._example["decision"]
        trade = decision["approved_trade"] | {"symbol": symbol, "position_units": 10_000, "timestamp": now}
        trade["intended_price"] = None
        return self._example | {
            "decision": decision | {"order_id": trade_id, "approved_trade": trade},
            "timestamp": now,
        }

    def _confirmed(self, _channel: object, _method: object, _properties: object, body: bytes) -> None:
        confirmation = json.loads(body)
        if confirmation["status"] != "filled":
            raise RuntimeError(f"{confirmation['status']}: {confirmation['rejection_details']}")
        published = self._sent.pop(confirmation["trade_id"], None)
        if published is not None:
            self._times.append(time.perf_counter() - published)

    def _drain(self) -> None:
        give_up_at = time.perf_counter() + PATIENCE_SECONDS
        while self._sent:
            self._connection.process_data_events(1)
            if time.perf_counter() > give_up_at:
                raise RuntimeError(f"{len(self._sent)} trades were not confirmed within {PATIENCE_SECONDS} s")


@contextmanager
def running_worker(amqp_url: str, postgres_url: str, folder: Path) -> Iterator[Rig]:
    """Run a worker on the simulated terminal, and a rig around it."""
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "AMQP_URL": amqp_url,
        "POSTGRES_URL": postgres_url,
        "MT5_BACKEND": "simulated",
        "MT5_SIMULATED_BOOK": str(folder / "book.sqlite"),
        "LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "worker"]
    for preparation in (["db", "migrate"], ["topology", "declare"]):
        subprocess.run([*command, *preparation], env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
    worker = subprocess.Popen([*command, "run"], env=environment, cwd=folder)  # noqa: S603 - our own program
    try:
        rig = Rig(amqp_url)
        yield rig
        rig.close()
    finally:
        worker.terminate()
        worker.wait(60)
