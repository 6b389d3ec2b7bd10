"""After a restore from an older backup the worker stops and tells; who follows the runbook trades nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ops.services import Services
from ops.services.isolation import with_path
from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.acceptance.runbook import Operator, typed
from tests.fixtures.client_programs import need_client_programs
from tests.fixtures.rpm import JsonObject, Sent, approval
from tests.fixtures.worker_process import WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

PAGE, RESTORE = "postgresql-down.md", "Restore the newest backup"


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


def test_what_a_restored_ledger_has_forgotten_is_not_traded_again(desk: Desk, spare: str, tmp_path: Path) -> None:
    # Given a backup, trades that were filled after it, and then the loss of the database
    assert desk.confirmed(approval("EURUSD", 1_000.0)).outcome == ("filled", None)
    assert desk.command("halt", "--symbol", "GBPUSD", "--hold", "--reason", "a speech").code == 0
    held = desk.publish(approval("GBPUSD", 1_000.0))
    desk.confirmed(approval("EURUSD", 1_000.0))  # it is in the ledger, too
    operator = Operator(desk, {"BACKUP": lambda: _newest(desk, "backups/*.dump")}, spare)
    operator.follow(PAGE, "It is over when")  # it ends with a backup
    forgotten = [desk.publish(approval("EURUSD", units)) for units in (2_000.0, 3_000.0)]
    assert desk.command("resume", "--symbol", "GBPUSD", "--reason", "it is over").code == 0
    assert desk.confirmation(held).outcome == ("filled", None)  # after the backup as well
    unmentioned = desk.publish(approval("EURUSD", 5_000.0))  # nobody publishes it again before the account is resumed
    desk.confirmation(unmentioned)
    tickets = {desk.confirmation(sent)["order_id"] for sent in forgotten}
    desk.worker.kill()

    # When the operator restores the backup, and lets the worker start on it
    _, restored_it = operator.follow(PAGE, RESTORE)
    assert "its audit trail verifies" in restored_it.said
    restored = _moved(desk, spare, tmp_path)
    operator = Operator(restored, {})
    try:
        restored.start()

        # Then it has halted the account before it takes anything, and tells of all the orders it does not know
        status, _ = operator.follow("orphans.md", "First two minutes")
        assert "another copy than before" in status.said
        assert "has 4 orders under a token of this ledger that it never wrote down" in status.said
        assert {one["ticket"] for one in _orphans(restored)} >= tickets
        # And the trade that was on hold when the backup was made is not taken for one that was never sent
        assert _last(restored, held, times=2) == ("filled", None)

        # And when RPM publishes them again during the halt, as the page has it, none is sent
        (restored.folder / "confirmations.jsonl").write_bytes(
            b"\n".join(told.body for told in desk.downstream.received)
        )
        (restored.folder / "forgotten.json").write_bytes(forgotten[0].body)
        restored.publish(forgotten[1].body)
        compared, *_, rejected, resumed = operator.follow("orphans.md", "Then, in this order")
        assert "is missing" in compared.said or "are missing" in compared.said or "rewritten" in compared.said
        assert resumed.line.startswith("mt5-worker resume")
        assert rejected.code == 0
        assert [_last(restored, sent, times=2) for sent in forgotten] == [("rejected", "trading_halted")] * 2

        # Then they are known from now on: published after the halt, they are only confirmed again
        for sent in forgotten:
            restored.publish(sent.body)
        assert [_last(restored, sent, times=3) for sent in forgotten] == [("rejected", "trading_halted")] * 2
        # And one that was forgotten here as well has lost its approval with the ledger, however young it is
        restored.publish(unmentioned.body)
        assert _last(restored, unmentioned, times=2) == ("expired", "approval_expired")
        # But what is approved since then, by more than RPM's clock may be ahead, is traded
        eventually(lambda: _is_filled(restored, approval("EURUSD", 4_000.0, age=-4)), "nothing is traded any more")
        assert sorted(float(one.lots) for one in restored.book.traded("EURUSD")) == [0.01, 0.01, 0.02, 0.03, 0.04, 0.05]
    finally:
        restored.worker.end()


def _moved(desk: Desk, database: str, folder: Path) -> Desk:
    """Return the same desk with another database behind it."""
    settings = {**desk.settings, "POSTGRES_URL": with_path(desk.settings["POSTGRES_URL"], database)}
    return replace(desk, settings=settings, folder=folder, worker=WorkerProcess(settings, folder))


def _newest(desk: Desk, pattern: str) -> str:
    return str(max(desk.folder.glob(pattern)).relative_to(desk.folder))


def _last(desk: Desk, sent: Sent, *, times: int) -> tuple[str, str | None]:
    return desk.downstream.wait_for(sent.correlation, times=times).outcome


def _is_filled(desk: Desk, trade: JsonObject) -> bool:
    return desk.confirmed(trade).outcome == ("filled", None)


def _orphans(desk: Desk) -> list[dict[str, str]]:
    exported = typed(desk, ["mt5-worker", "audit", "export"])
    events = [json.loads(line) for line in exported.out.splitlines()]
    alerts = [json.loads(event["payload"]) for event in events if event["kind"] == "alert"]
    [found] = [alert for alert in alerts if alert["alert"] == "orphans"]
    orders: list[dict[str, str]] = found["orders"]
    return orders
