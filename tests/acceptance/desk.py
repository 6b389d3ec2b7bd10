"""A whole desk as its people see it: RPM, the worker, the broker's book, a subscriber, an operator's command line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fixtures.book import Book
from tests.fixtures.broker import Broker
from tests.fixtures.rpm import RPM, JsonObject, Sent, approval
from tests.fixtures.subscriber import Confirmation, Subscriber
from tests.fixtures.worker_process import Finished, WorkerProcess, run_command

START_SECONDS = 40.0
_GLANCE_SECONDS = 0.05


def eventually(look: Callable[[], object], complaint: str, seconds: float = 20.0) -> None:
    """Look again until it is so: for what gives no event to wait for."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s: {complaint}")
        time.sleep(_GLANCE_SECONDS)


@dataclass
class Desk:
    """One account with everything around it."""

    settings: Mapping[str, str]
    folder: Path
    rpm: RPM
    downstream: Subscriber
    worker: WorkerProcess
    book: Book

    @property
    def account(self) -> str:
        """The account's name."""
        return self.settings.get("ACCOUNT", "main")

    @property
    def queue(self) -> str:
        """The queue that the worker consumes."""
        return f"trades.approved.{self.account}"

    @property
    def broker(self) -> Broker:
        """The broker's own hand."""
        return Broker(Path(self.settings["MT5_SIMULATED_BOOK"]))

    def start(self) -> None:
        """Start the worker and wait until it consumes, it and not one that was just killed."""
        eventually(lambda: not self.rpm.listeners(self.queue), "RabbitMQ still serves the worker that has ended")
        self.worker.start()
        eventually(self._consumes_or_ended, f"the worker does not consume\n{self.worker.log[-4000:]}", START_SECONDS)
        assert self.worker.runs, f"the worker ended at its start\n{self.worker.log[-4000:]}"

    def publish(self, message: JsonObject | bytes, **properties: Any) -> Sent:
        """Publish as RPM does for this account."""
        if "routing_key" not in properties and not isinstance(message, bytes) and self.account != "main":
            decision = message["decision"]
            symbol = (decision["approved_trade"] or decision["rejected_trade"])["symbol"]
            properties["routing_key"] = f"approved.{self.account}.{symbol}"
        return self.rpm.publish(message, **properties)

    def confirmation(self, sent: Sent, *, version: int = 1, times: int = 1, timeout: float = 30) -> Confirmation:
        """Wait for the confirmation of a message."""
        return self.downstream.wait_for(sent.correlation, version=version, times=times, timeout=timeout)

    def ended(self, sent: Sent, *, timeout: float = 30) -> Confirmation:
        """Wait for a confirmation that is final: `unresolved` is not the end."""
        return self.downstream.wait_for_any(
            lambda one: one.correlation_id == sent.correlation and one["final"], timeout=timeout
        )

    def confirmed(self, message: JsonObject | bytes, **properties: Any) -> Confirmation:
        """Publish and wait for the confirmation."""
        return self.confirmation(self.publish(message, **properties))

    def trades_again(self) -> Sent:
        """Approve trades until one is filled: after a discovery, a few seconds of approvals count as before it."""
        approved: list[Sent] = []

        def filled() -> bool:
            approved.append(self.publish(approval("EURUSD", 2_000.0)))
            return self.confirmation(approved[-1]).outcome == ("filled", None)

        eventually(filled, "no trade is filled any more")
        return approved[-1]

    def command(self, *arguments: str, given: str | None = None, **settings: str) -> Finished:
        """Run one command of an operator of this desk."""
        return run_command(*arguments, settings={**self.settings, **settings}, folder=self.folder, given=given)

    def listing(self, *arguments: str) -> list[dict[str, Any]]:
        """Run a listing with `--json` and return what it lists."""
        done = self.command(*arguments, "--json")
        assert done.code == 0, done.said
        listed: list[dict[str, Any]] = done.json
        assert isinstance(listed, list)
        return listed

    def dead_letter(self, execution_id: str) -> dict[str, Any]:
        """Wait until the dead-letter desk lists a letter of this execution, and return it."""
        found: list[dict[str, Any]] = []

        def listed() -> bool:
            found[:] = [one for one in self.listing("dlq", "list") if one["execution_id"] == execution_id]
            return bool(found)

        eventually(listed, f"no dead letter of execution {execution_id} is listed")
        return found[0]

    def _consumes_or_ended(self) -> bool:
        return not self.worker.runs or bool(self.rpm.listeners(self.queue))


@contextmanager
def open_desk(amqp_url: str, postgres_url: str, folder: Path, **settings: str) -> Iterator[Desk]:
    """Set a desk up on an empty virtual host and an empty database, its worker running; clear it away at the end."""
    chosen = {
        "AMQP_URL": amqp_url,
        "POSTGRES_URL": postgres_url,
        "MT5_BACKEND": "simulated",
        "MT5_SIMULATED_BOOK": str(folder / "book.sqlite"),
        "POLL_INTERVAL_SECONDS": "0.1",
        "RETRY_BACKOFF_SECONDS": "0.1",
        "LOG_FORMAT": "json",
        **settings,
    }
    migrated = run_command("db", "migrate", settings=chosen, folder=folder)
    assert migrated.code == 0, migrated.said
    downstream, worker = Subscriber(amqp_url), WorkerProcess(chosen, folder)
    desk = Desk(chosen, folder, RPM(amqp_url), downstream, worker, Book(Path(chosen["MT5_SIMULATED_BOOK"])))
    try:
        desk.start()
        with downstream:
            yield desk
    finally:
        desk.worker.end()
        desk.rpm.close()
