"""After a restore from an older backup the worker stops and tells; it does not trade again what it has forgotten."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops.services import Services
from ops.services.isolation import with_path
from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk
from tests.fixtures.client_programs import need_client_programs
from tests.fixtures.rpm import approval
from tests.fixtures.worker_process import WorkerProcess, environment

pytestmark = [pytest.mark.acceptance, pytest.mark.services]


@pytest.fixture
def desk(services: Services, new_desk: DeskMaker) -> Iterator[Desk]:
    need_client_programs(services.postgres_url)
    with new_desk() as desk:
        yield desk


@pytest.fixture
def spare(services: Services, desk: Desk) -> Iterator[str]:
    """Name a database beside the desk's, which is not there yet."""
    name = f"{desk.settings['POSTGRES_URL'].rpartition('/')[2]}_restored"
    yield name
    services.drop_database(name)


def _backup(desk: Desk, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ops.backup", *arguments],
        env=environment(desk.settings),
        cwd=desk.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _moved(desk: Desk, database: str, folder: Path) -> Desk:
    """Return the same desk with another database behind it."""
    folder.mkdir()
    settings = {**desk.settings, "POSTGRES_URL": with_path(desk.settings["POSTGRES_URL"], database)}
    return replace(desk, settings=settings, worker=WorkerProcess(settings, folder))


def test_what_a_restored_ledger_has_forgotten_is_not_traded_again(desk: Desk, spare: str, tmp_path: Path) -> None:
    # Given a backup, trades that were filled after it, and then the loss of the database
    assert desk.confirmed(approval("EURUSD", 1_000.0)).outcome == ("filled", None)
    _backup(desk, "create", "backups")
    forgotten = [desk.publish(approval("EURUSD", units)) for units in (2_000.0, 3_000.0)]
    tickets = [desk.confirmation(sent)["order_id"] for sent in forgotten]
    [dump] = (desk.folder / "backups").glob("*.dump")
    desk.worker.kill()

    # When the backup is restored, and a worker starts on it
    assert "its audit trail verifies" in _backup(desk, "restore", str(dump), "--database", spare)
    restored = _moved(desk, spare, tmp_path / "restored")
    try:
        restored.start()

        # Then it has halted the account before it takes anything, and tells of the orders it does not know
        [account] = restored.listing("status")
        assert "another copy than before" in account["halt"]
        assert "has 2 orders under a token of this ledger that it never wrote down" in account["halt"]
        assert all(ticket in account["halt"] for ticket in tickets)
        [orphans] = [alert for alert in _alerts(restored) if alert["alert"] == "orphans"]
        assert [one["ticket"] for one in orphans["orders"]] == tickets

        # When RPM publishes them again while the account is halted
        for sent in forgotten:
            again = restored.downstream.wait_for(restored.publish(sent.body).correlation, times=2)
            assert again.outcome == ("rejected", "trading_halted")

        # Then they are written down from now on: after the halt they are only confirmed again, never sent
        assert restored.command("resume", "--reason", "compared with the broker").code == 0
        assert restored.confirmed(approval("EURUSD", 4_000.0)).outcome == ("filled", None)
        for sent in forgotten:
            restored.publish(sent.body)
            last = restored.downstream.wait_for(sent.correlation, times=3)
            assert last.outcome == ("rejected", "trading_halted")
        assert sorted(float(one.lots) for one in restored.book.traded("EURUSD")) == [0.01, 0.02, 0.03, 0.04]
    finally:
        restored.worker.end()


def _alerts(desk: Desk) -> list[dict[str, Any]]:
    exported = desk.command("audit", "export")
    assert exported.code == 0, exported.said
    events = [json.loads(line) for line in exported.out.splitlines()]
    return [json.loads(event["payload"]) for event in events if event["kind"] == "alert"]
