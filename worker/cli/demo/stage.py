"""Where the demo plays: services of its own, and the real worker as a process of its own, on the simulated broker."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.services import Services
from ops.services.compose import Compose
from ops.services.start import start_services
from worker.cli.demo.trades import ORDER_TIMEOUT_SECONDS, UNKNOWN_HORIZON_SECONDS
from worker.domain.errors import Refused
from worker.ledger import schema
from worker.messaging.connection import connected
from worker.messaging.declaration import declare
from worker.messaging.inspection import QueueDepth, queue_depths
from worker.messaging.topology import approved_queue, topology
from worker.settings import bare_environment

_READY_SECONDS = 40.0
_STOP_SECONDS = 20.0
_GLANCE_SECONDS = 0.1
_LOG_LINES_SHOWN = 25


@dataclass(frozen=True, slots=True)
class Place:
    """The demo's own corner of a RabbitMQ and a PostgreSQL, and an account that is nobody else's."""

    account: str
    amqp_url: str
    postgres_url: str


@contextmanager
def services(say: Callable[[str], None]) -> Iterator[Services]:
    """Start a RabbitMQ and a PostgreSQL the way this machine allows; they end with the block."""
    with start_services(engine=Compose(), say=say) as started:
        yield started


@contextmanager
def corner(started: Services) -> Iterator[Place]:
    """Make a virtual host and a database, and remove them at the end."""
    name = f"demo_{secrets.token_hex(4)}"
    try:
        yield Place(name, started.new_vhost(name), started.new_database(name))
    finally:
        started.delete_vhost(name)
        started.drop_database(name)


async def furnish(place: Place) -> None:
    """Make ledger and topology."""
    await schema.migrate(place.postgres_url)
    async with connected(place.amqp_url, "mt5-worker demo") as connection:
        problems = await declare(connection, topology([place.account]))
    if problems:
        raise Refused("\n".join(problems))


class WorkerProcess:
    """`mt5-worker run` with an environment that is written out here, in a folder where no `.env` lies."""

    def __init__(self, place: Place, folder: Path) -> None:
        self._place = place
        self.log = folder / "worker.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker", "run"],
                env=_environment(place, folder),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops the worker in order
            )

    async def ready(self) -> None:
        """Wait until it takes trades. Raises Refused with its last words when it ends or never does."""
        queue = approved_queue(self._place.account)
        try:
            async with (
                asyncio.timeout(_READY_SECONDS),
                connected(self._place.amqp_url, "mt5-worker demo") as connection,
            ):
                while self._process.poll() is None:
                    match await queue_depths(connection, [queue]):
                        case [QueueDepth(consumers=consumers)] if consumers:
                            return
                    await asyncio.sleep(_GLANCE_SECONDS)
        except TimeoutError:
            raise Refused(f"the worker took no trades within {_READY_SECONDS:g} s\n{self.last_words()}") from None
        raise Refused(f"the worker ended at its start\n{self.last_words()}")

    def stop(self) -> int:
        """Ask it to end as an operator does, and return its exit code; what does not end is killed."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def last_words(self) -> str:
        """Return the end of its log, without what only counts terminal calls."""
        lines = self.log.read_text("utf-8", errors="replace").splitlines()
        return "\n".join([line for line in lines if '"level": "debug"' not in line][-_LOG_LINES_SHOWN:])


@contextmanager
def worker(place: Place) -> Iterator[WorkerProcess]:
    """Run the worker for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="mt5-worker-demo-", ignore_cleanup_errors=True) as folder:
        process = WorkerProcess(place, Path(folder))
        try:
            yield process
        finally:
            process.stop()


def _environment(place: Place, folder: Path) -> dict[str, str]:
    return bare_environment() | {
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "PYTHONUTF8": "1",
        "ACCOUNT": place.account,
        "AMQP_URL": place.amqp_url,
        "POSTGRES_URL": place.postgres_url,
        "MT5_BACKEND": "simulated",
        "MT5_SIMULATED_BOOK": str(folder / "book.sqlite"),
        "ORDER_TIMEOUT_SECONDS": str(ORDER_TIMEOUT_SECONDS),
        "UNKNOWN_HORIZON_SECONDS": str(UNKNOWN_HORIZON_SECONDS),
        "RETRY_BACKOFF_SECONDS": "0.2",
        "DRAIN_TIMEOUT_SECONDS": "5",
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
    }
