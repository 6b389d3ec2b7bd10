"""A desk to measure: a worker process with a virtual host, a database and a simulated broker's book of its own."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pika

from ops.bench.approvals import SYMBOLS, approvals
from ops.bench.publishing import SteadyPublisher, publish, steady_publisher
from ops.services import Services

_ROOT = Path(__file__).parents[2]
_COMMAND = (sys.executable, "-m", "worker")
CONFIRMATIONS = "bench.confirmations"
"""The queue in which confirmations are counted."""

_TRADES = "trades.approved.main"
_MOMENT = 0.01  # seconds between two looks at a queue's length: a look costs RabbitMQ a fraction of a millisecond
_STOP_SECONDS = 120
_QUORUM = MappingProxyType({"x-queue-type": "quorum"})

_SETTINGS = MappingProxyType(
    {
        "MT5_BACKEND": "simulated",
        "LOG_LEVEL": "WARNING",
        "MAX_TRADE_AGE_SECONDS": "0",  # what is measured last has waited in the queue for long
    }
)


class Desk:
    """Drives the worker from outside: by its queues, its signals and its command line."""

    def __init__(self, amqp_url: str, database_url: str, folder: Path, settings: Mapping[str, str]) -> None:
        self.amqp_url = amqp_url
        self.database_url = database_url
        self.book = folder / "book.sqlite"
        self.log = folder / "worker.log"
        self.environment: Mapping[str, str] = {
            **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR", "LANG"}},
            "PYTHONPATH": str(_ROOT),
            "AMQP_URL": amqp_url,
            "POSTGRES_URL": database_url,
            "MT5_SIMULATED_BOOK": str(self.book),
            **_SETTINGS,
            **settings,
        }
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._forgotten = 0
        for arguments in (("db", "migrate"), ("topology", "declare")):
            self.command(*arguments)
        self._connection = pika.BlockingConnection(_without_heartbeat(amqp_url))
        self._channel = self._connection.channel()
        self._channel.queue_declare(CONFIRMATIONS, durable=True, arguments=dict(_QUORUM))
        self._channel.queue_bind(CONFIRMATIONS, "executions", "confirmation.#")

    # The worker

    def command(self, *arguments: str) -> str:
        """Run `mt5-worker` with these arguments to its end and return what it printed."""
        done = subprocess.run(  # noqa: S603 - our own program
            [*_COMMAND, *arguments],
            env=self.environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"mt5-worker {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def start_worker(self) -> None:
        """Start it, and do not wait until it is ready: that may be what is measured."""
        self.start_in_its_place("worker", "run")

    def start_in_its_place(self, module: str, *arguments: str) -> None:
        """Start another program with the worker's environment; it is stopped and killed like the worker."""
        command = [sys.executable, "-m", module, *arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command, env=self.environment, cwd=self._folder, stdout=log, stderr=log
            )

    def stop_worker(self) -> None:
        """Ask it to end (SIGTERM) and wait until it has."""
        self._running.terminate()
        self._running.wait(_STOP_SECONDS)
        self._process = None

    def kill_worker(self) -> None:
        """End it at once (SIGKILL)."""
        self._running.kill()
        self._running.wait(_STOP_SECONDS)
        self._process = None

    @property
    def worker_pid(self) -> int:
        """The number of the worker's process."""
        return self._running.pid

    def until_consuming(self, within: float = 60) -> None:
        """Wait until the worker takes trades from its queue."""
        self._until(lambda: bool(self._look(_TRADES).consumer_count), within, lambda: "the worker does not consume")

    def set_terminal(self, **values: float) -> None:
        """Change the simulated broker, `latency_ms` of a send for example; the worker must have run once."""
        with closing(sqlite3.connect(f"file:{self.book}?mode=rw", uri=True, timeout=10)) as connection, connection:
            for name, value in values.items():
                connection.execute(f"UPDATE meta SET {name} = ?", (value,))  # noqa: S608 - a column's name

    # Messages

    def publish(self, count: int, *, symbols: Sequence[str] = SYMBOLS, **changes: Any) -> None:
        """Publish so many approved trades as fast as possible; RabbitMQ has confirmed them all when this returns."""
        messages = ((one.routing_key, one.body) for one in itertools.islice(approvals(symbols, **changes), count))
        asyncio.run(publish(self.amqp_url, "trades", messages))

    def publish_at(self, rate: float, seconds: float) -> dict[str, float]:
        """Publish at a steady rate; return when each trade was published (seconds since 1970) by trade id."""
        with self.publishing_at(rate, seconds) as publisher:
            return publisher.times()

    @contextmanager
    def publishing_at(self, rate: float, seconds: float) -> Iterator[SteadyPublisher]:
        """Publish at a steady rate in a process of its own, and do something else meanwhile."""
        with steady_publisher(self.amqp_url, rate, seconds) as publisher:
            yield publisher

    def confirmed(self) -> int:
        """Return how many confirmations there were so far, of all versions."""
        return self._forgotten + int(self._look(CONFIRMATIONS).message_count)

    def forget_confirmations(self) -> None:
        """Empty the queue in which they are counted, which otherwise grows; the count goes on."""
        self._forgotten += int(self._channel.queue_purge(CONFIRMATIONS).method.message_count)

    def until_confirmed(self, count: int, within: float = 300) -> None:
        """Wait until there were so many confirmations since the desk was opened.

        Raises:
            RuntimeError: there were not within that many seconds; shows the end of the worker's log.

        """
        self._until(
            lambda: self.confirmed() >= count,
            within,
            lambda: f"{self.confirmed()} of {count} confirmations within {within:g} s",
        )

    def close(self) -> None:
        """Leave nothing running."""
        if self._process is not None:
            self.kill_worker()
        self._connection.close()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the worker has not been started")
        return self._process

    def _look(self, queue: str) -> Any:
        return self._channel.queue_declare(queue, passive=True).method

    def _until(self, condition: Callable[[], bool], within: float, trouble: Callable[[], str]) -> None:
        deadline = time.monotonic() + within
        while not condition():
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError(f"it ended with {self._process.returncode}; its log ends:\n{self._end_of_log()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{trouble()}; its log ends:\n{self._end_of_log()}")
            time.sleep(_MOMENT)

    def _end_of_log(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-20:])


@contextmanager
def open_desk(
    services: Services,
    folder: Path,
    *,
    settings: Mapping[str, str] = MappingProxyType({}),
    sessions: int = 1,
) -> Iterator[Desk]:
    """Open a desk in a new corner of the services; leave nothing of it.

    `sessions` is the number of terminals that send; where they are several, one more answers the questions.
    """
    name = f"bench_{os.getpid()}_{secrets.token_hex(3)}"
    place = folder / name
    place.mkdir(parents=True)
    amqp_url, database_url = services.new_vhost(name), services.new_database(name)
    try:
        desk = Desk(amqp_url, database_url, place, {**_terminals(sessions), **settings})
        with closing(desk):
            yield desk
    finally:
        services.delete_vhost(name)
        services.drop_database(name)


def _terminals(sessions: int) -> Mapping[str, str]:
    if sessions == 1:
        return {}
    return {"MT5_SESSIONS": json.dumps({"asks": {}, **{f"sends{number}": {} for number in range(1, sessions + 1)}})}


def _without_heartbeat(amqp_url: str) -> pika.URLParameters:
    parameters = pika.URLParameters(amqp_url)
    parameters.heartbeat = 0  # a measurement may take longer than a heartbeat lasts
    return parameters
