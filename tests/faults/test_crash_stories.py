"""Crashes that are more than the end of a process: a ledger from a backup, a frozen terminal, a command cut short."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL

import psycopg
import pytest
from psycopg import sql

from ops.services import Services
from tests.acceptance.desk import START_SECONDS, Desk, eventually, open_desk
from tests.acceptance.oracle import check_run, orders_of, placed
from tests.fixtures.rpm import Sent, approval
from tests.fixtures.worker_process import WorkerProcess, run_command

pytestmark = [pytest.mark.acceptance, pytest.mark.services, pytest.mark.timeout(180)]

logging.getLogger("pika").setLevel(logging.CRITICAL)  # it tells of every queue that is not there yet

SETTINGS = {
    "MAX_TRADE_AGE_SECONDS": "0",
    "ORDER_TIMEOUT_SECONDS": "30",
    "UNKNOWN_HORIZON_SECONDS": "1",
    "TERMINAL_CALL_TIMEOUT_SECONDS": "3",
}
FILLED = ("filled", None)


@pytest.fixture
def desk(services: Services, tmp_path: Path) -> Iterator[Desk]:
    name = f"stories_{secrets.token_hex(5)}"
    amqp_url, postgres_url = services.new_vhost(name), services.new_database(name)
    with open_desk(amqp_url, postgres_url, tmp_path, **SETTINGS) as desk:
        yield desk
    services.delete_vhost(name)
    services.drop_database(name)


@contextmanager
def _armed(desk: Desk, fault: str, **settings: str) -> Iterator[Path]:
    """Start the desk's worker with a failpoint armed; yields the file that tells what it has passed."""
    ordinary, points = desk.worker, desk.folder / "points.log"
    armed = {**desk.settings, **settings, "FAILPOINTS": fault, "FAILPOINTS_LOG": str(points)}
    desk.worker = WorkerProcess(armed, desk.folder)
    desk.start()
    try:
        yield points
    finally:
        desk.worker.end()
        desk.worker = ordinary


def _until_it_has_ended_itself(desk: Desk) -> None:
    assert desk.worker.wait() == -SIGKILL


def _effective(desk: Desk, sent: Sent) -> int:
    return len([one for one in orders_of(desk, sent) if one.deals])


class TestLedgers:
    """The database is not the one that the broker's orders are written down in."""

    def test_restored_from_an_older_backup_nothing_is_traded_before_a_person_has_looked(
        self, desk: Desk, services: Services
    ) -> None:
        # Given a backup, and trades after it: some filled, one of them still open at the broker
        before = desk.publish(approval("EURUSD", 1_000.0))
        desk.confirmation(before)
        with _backup_of(desk, services) as restore:
            after = [desk.publish(approval("GBPUSD", 1_000.0 * size)) for size in range(1, 4)]
            for sent in after:
                assert desk.confirmation(sent).outcome == FILLED
            pending = desk.publish(approval("USDJPY.pending", 1_000.0))
            placed(desk, pending)
            desk.worker.kill()
            orders = len(desk.book.traded())

            # When the ledger is restored, and RPM sends again what it cannot be sure of
            restore()
            again = desk.publish(after[0].body)
            desk.start()

        # Then the account is halted for what the broker has and the ledger does not know
        eventually(lambda: desk.listing("status")[0]["halt"], "the account is not halted", START_SECONDS)
        status = desk.listing("status")[0]
        assert "the ledger was restored from an older copy" in status["halt"]
        assert desk.confirmation(again, times=2)["rejection_reason"] == "trading_halted"
        assert len(desk.book.traded()) == orders
        assert "Traceback" not in desk.worker.log

        # And after a person has looked, new trades go on under tokens that nobody has used
        assert desk.command("resume", "--reason", "compared, and put right by hand").code == 0
        fresh = desk.trades_again()
        assert [_effective(desk, sent) for sent in (before, *after, fresh)] == [1] * 5
        magics = [one.order["magic"] >> 6 for one in desk.book.traded()]
        assert len(set(magics)) == len(magics)

    def test_a_fresh_ledger_leaves_the_orders_of_another_one_alone(self, desk: Desk, services: Services) -> None:
        # Given an account with a history, and an order that is still open
        old = [desk.publish(approval("EURUSD", 1_000.0 * size)) for size in range(1, 4)]
        for sent in old:
            desk.confirmation(sent)
        pending = desk.publish(approval("USDJPY.pending", 1_000.0))
        ticket = placed(desk, pending)
        desk.worker.kill()

        # When it goes on with an empty ledger
        name = f"fresh_{secrets.token_hex(5)}"
        settings = {**desk.settings, "POSTGRES_URL": services.new_database(name), "ORDER_TIMEOUT_SECONDS": "1"}
        assert run_command("db", "migrate", settings=settings, folder=desk.folder).code == 0
        desk.settings, desk.worker = settings, WorkerProcess(settings, desk.folder)
        desk.start()
        new = [desk.publish(approval("GBPUSD", 1_000.0 * size)) for size in range(1, 4)]

        # Then new trades are executed, and nothing of the old ones is claimed, cancelled or told
        for sent in new:
            assert desk.confirmation(sent).outcome == FILLED
        assert {one["trade_id"] for one in desk.listing("executions", "list")} == {sent.trade_id for sent in new}
        assert desk.book.order(ticket).is_open
        assert [len(desk.downstream.all_of(sent.correlation)) for sent in old] == [1, 1, 1]
        assert desk.listing("status")[0]["halt"] is None
        desk.worker.end()
        services.drop_database(name)


class TestTerminals:
    """The terminal has a life of its own."""

    def test_a_request_that_leaves_a_frozen_terminal_late_is_found(self, desk: Desk) -> None:
        # Given a terminal that froze between the last look at the deadline and the send
        desk.worker.stop()
        with _armed(desk, "session.send.before.submit=hold", TERMINAL_CALL_TIMEOUT_SECONDS="60") as points:
            sent = desk.publish(approval("EURUSD", 1_000.0))
            eventually(lambda: "session.send.before.submit" in points.read_text(), "no order is about to be sent")
            desk.worker.kill()
        assert orders_of(desk, sent) == []

        # When another worker has taken over, and waits for the terminal, and the frozen one comes to itself
        desk.worker.start()
        eventually(lambda: "another process is using this terminal" in desk.worker.log, "the lock is not held", 60)
        assert orders_of(desk, sent) == []
        points.with_name("points.log.go").touch()

        # Then what it sent is found, and nothing is sent again
        assert desk.ended(sent, timeout=60).outcome == FILLED
        check_run(desk, [sent])
        assert len(orders_of(desk, sent)) == 1

    def test_a_request_that_never_leaves_a_frozen_terminal_is_made_again(self, desk: Desk) -> None:
        desk.worker.stop()
        with _armed(desk, "session.send.before.submit=hold"):
            sent = desk.publish(approval("EURUSD", 1_000.0))

            ended = desk.ended(sent, timeout=60)

            assert (ended.outcome, ended["attempts"]) == (FILLED, 2)
            check_run(desk, [sent])

    def test_nothing_is_sent_again_while_the_terminal_has_no_history(self, desk: Desk) -> None:
        # Given an order that was executed when worker and session were ended
        desk.worker.stop()
        with _armed(desk, "session.send.after.submit=kill-all"):
            sent = desk.publish(approval("EURUSD", 1_000.0))
            _until_it_has_ended_itself(desk)

        # When the terminal comes back without its history
        with desk.broker.history_lost():
            desk.worker.start()
            eventually(lambda: "recovery_waits" in desk.worker.log, "the worker does not wait for the history", 40)
            assert desk.downstream.all_of(sent.correlation) == []

        # Then it is found when the history is there
        assert desk.ended(sent, timeout=60).outcome == FILLED
        check_run(desk, [sent])


class TestCommands:
    """An operator's command is cut short: it has happened as a whole, or not at all."""

    def test_a_halt_that_is_cut_short(self, desk: Desk) -> None:
        for moment, is_halted in (("before", False), ("within", False), ("after", True)):
            cut = desk.command("halt", "--reason", "to see", FAILPOINTS=f"ledger.operator.{moment}=kill")

            assert cut.code == -SIGKILL
            assert bool(desk.listing("status")[0]["halt"]) is is_halted, moment
        assert desk.confirmed(approval("EURUSD", 1_000.0)).outcome == ("rejected", "trading_halted")
        assert desk.command("audit", "verify").code == 0

    @pytest.mark.parametrize("moment", ["within", "after"])
    def test_a_migration_that_is_cut_short_is_finished_by_the_next(
        self, services: Services, tmp_path: Path, moment: str
    ) -> None:
        name = f"migrated_{secrets.token_hex(5)}"
        settings = {"POSTGRES_URL": services.new_database(name), "MT5_BACKEND": "simulated"}
        fault = f"ledger.migrate.{moment}@2=kill"

        cut = run_command("db", "migrate", settings={**settings, "FAILPOINTS": fault}, folder=tmp_path)
        again = run_command("db", "migrate", settings=settings, folder=tmp_path)

        assert (cut.code, again.code) == (-SIGKILL, 0)
        assert run_command("db", "check", settings=settings, folder=tmp_path).code == 0
        services.drop_database(name)


@contextmanager
def _backup_of(desk: Desk, services: Services) -> Iterator[Callable[[], None]]:
    """Copy the desk's database while its worker rests; yields what puts the copy in the place of the database."""
    name = desk.settings["POSTGRES_URL"].rpartition("/")[2].partition("?")[0]
    copy = f"{name}_backup"
    desk.worker.stop()
    _administer(services, sql.SQL("create database {} template {}").format(sql.Identifier(copy), sql.Identifier(name)))
    desk.start()

    def restore() -> None:
        services.drop_database(name)
        rename = sql.SQL("alter database {} rename to {}")
        _administer(services, rename.format(sql.Identifier(copy), sql.Identifier(name)))

    yield restore


def _administer(services: Services, statement: sql.Composed) -> None:
    with psycopg.connect(services.postgres_url, autocommit=True) as connection:
        connection.execute(statement)
