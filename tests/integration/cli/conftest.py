"""An operator's command line on a virtual host and a database of its own, and a ledger with something in it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.services import Services
from tests.fixtures.services import new_ledger
from tests.integration.ledger.stories import (
    RealClock,
    a_letter,
    a_message,
    a_trade,
    accepted,
    an_arrival,
    failed,
    filled,
    written_ahead,
)
from worker.cli.app import app
from worker.domain.execution import Execution, State
from worker.ledger.ledger import PostgresLedger
from worker.ledger.schema import migrate
from worker.messaging.connection import connected
from worker.messaging.declaration import declare
from worker.messaging.topology import topology
from worker.ports import Arrival, Change


@dataclass(frozen=True)
class Done:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output, which holds one JSON value and nothing else."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Desk:
    """An operator's seat."""

    settings: Mapping[str, str]
    folder: str

    def say(self, *arguments: str, given: str | None = None, **settings: str) -> Done:
        """Run a command in this process, in a folder where no `.env` lies."""
        before = os.getcwd()  # noqa: PTH109 - chdir's own word
        os.chdir(self.folder)
        try:
            done = CliRunner().invoke(app, list(arguments), input=given, env={**self.settings, **settings})
        finally:
            os.chdir(before)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Done(done.exit_code, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of the test process alone."""
    monkeypatch.setattr("worker.cli.parts.configure_logging", lambda *_: None)


@pytest.fixture
def bare(amqp_url: str, postgres_url: str, tmp_path: Path) -> Desk:
    """Sit down before an empty virtual host and an empty database."""
    return Desk(desk_settings(amqp_url, postgres_url), str(tmp_path))


@pytest.fixture(scope="module")
def desk(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Sit down before a ledger with a filled trade, a failed one, and two dead letters; no worker runs."""
    name = f"cli_{secrets.token_hex(5)}"
    amqp_url, postgres_url = services.new_vhost(name), new_ledger(services, name)
    asyncio.run(_declare(amqp_url))
    asyncio.run(_fill(postgres_url))
    yield Desk(desk_settings(amqp_url, postgres_url), str(tmp_path_factory.mktemp("desk")))
    services.delete_vhost(name)
    services.drop_database(name)


def desk_settings(amqp_url: str, postgres_url: str) -> dict[str, str]:
    return {"AMQP_URL": amqp_url, "POSTGRES_URL": postgres_url, "MT5_BACKEND": "simulated", "COLUMNS": "80"}


async def _declare(amqp_url: str) -> None:
    async with connected(amqp_url, "test") as connection:
        assert await declare(connection, topology(["main"])) == []


async def _fill(postgres_url: str) -> None:
    await migrate(postgres_url)
    ledger = await PostgresLedger.open(postgres_url, account="main", worker_id="desk:1", clock=RealClock())
    try:
        await ledger.lead()
        await ledger.record(filled(await _accepted(ledger, "RPM-1"), 9001))
        ended = await _failed(ledger, "RPM-2")
        letter = replace(a_letter(ended.message), reason="network_error", trade_id="RPM-2")
        await ledger.take_in(replace(letter, execution_id=ended.execution_id), None)
        await ledger.take_in(a_letter(a_message(body=b"{", message_id="m-3")), None)
    finally:
        await ledger.close()


def _arriving_now(order_id: str) -> Arrival:
    return replace(an_arrival(a_trade(order_id)), received_at=datetime.now(UTC))


async def _accepted(ledger: PostgresLedger, order_id: str) -> Execution:
    execution = (await ledger.admit(_arriving_now(order_id))).execution
    return await ledger.record(accepted(await ledger.record(written_ahead(execution))))


async def _failed(ledger: PostgresLedger, order_id: str) -> Execution:
    execution = (await ledger.admit(_arriving_now(order_id))).execution
    execution = await ledger.record(written_ahead(execution))
    execution = await ledger.record(Change(execution.advance(State.RECEIVED)))
    return await ledger.record(failed(execution))
