"""Alerts of services that go away and of workers that come in twos: seen to fire, as in test_alerts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import psycopg
import pytest

from ops.services import Services
from ops.services.places import free_port
from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually, open_desk
from tests.acceptance.watched import Watched, watch
from tests.fixtures.rpm import approval
from tests.fixtures.worker_process import WorkerProcess

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.services,
    pytest.mark.chaos,
    pytest.mark.usefixtures("prometheus_programs"),
    pytest.mark.timeout(240),
]


def _port(worker: WorkerProcess) -> int:
    return int(worker.settings["HTTP_PORT"])


@contextmanager
def _another_worker(desk: Desk, **settings: str) -> Iterator[WorkerProcess]:
    """Start one more worker of the desk's account."""
    folder = desk.folder / "another"
    folder.mkdir(exist_ok=True)
    worker = WorkerProcess({**desk.settings, "HTTP_PORT": str(free_port()), **settings}, folder)
    worker.start()
    try:
        yield worker
    finally:
        worker.end()


@pytest.fixture(scope="module")
def on_own_services(own_services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    amqp_url, postgres_url = own_services.new_vhost("alerts"), own_services.new_database("alerts")
    folder: Path = tmp_path_factory.mktemp("alerts")
    with open_desk(amqp_url, postgres_url, folder, HTTP_PORT=str(free_port())) as desk, watch(desk) as watched:
        yield watched


def test_rabbitmq_goes_away(on_own_services: Watched, own_services: Services) -> None:
    with on_own_services.tells("RabbitMQDown", silent={"WorkerNotReady", "OutboxStuck"}):
        own_services.rabbitmq.stop()

    own_services.rabbitmq.restart()
    assert on_own_services.desk.confirmed(approval("EURUSD")).outcome == ("filled", None)
    on_own_services.calms_down()


def test_postgresql_goes_away(on_own_services: Watched, own_services: Services) -> None:
    with on_own_services.tells("PostgreSQLDown", silent={"WorkerNotReady", "NoLeader"}):
        own_services.postgres.stop()

    own_services.postgres.restart()
    assert on_own_services.desk.confirmed(approval("EURUSD")).outcome == ("filled", None)
    on_own_services.calms_down()


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(HTTP_PORT=str(free_port())) as desk:
        yield desk


@pytest.fixture(scope="module")
def watched(desk: Desk) -> Iterator[Watched]:
    with watch(desk) as watched:
        yield watched


def test_a_standby_ends(watched: Watched) -> None:
    with _another_worker(watched.desk) as standby:
        eventually(lambda: "standing_by" in standby.log, "the second worker does not stand by")
        watched.prometheus.watch(_port(watched.desk.worker), _port(standby))
        watched.is_scraped(workers=2)
        watched.stays_calm()

        with watched.tells("StandbyDown", silent={"WorkerDown"}):
            standby.kill()

    watched.prometheus.watch(_port(watched.desk.worker))
    watched.calms_down()


def test_two_workers_lead_on_two_ledgers(watched: Watched, services: Services) -> None:
    ledger = services.new_database("alerts_another_ledger")
    try:
        # Given an account for which somebody has set up a second database
        settings = {**watched.desk.settings, "POSTGRES_URL": ledger}
        assert replace(watched.desk, settings=settings).command("db", "migrate").code == 0
        book = str(watched.desk.folder / "another-book.sqlite")

        with (
            _another_worker(watched.desk, POSTGRES_URL=ledger, MT5_SIMULATED_BOOK=book) as other,
            watched.tells("TwoLeaders"),
        ):
            watched.prometheus.watch(_port(watched.desk.worker), _port(other))
    finally:
        services.drop_database("alerts_another_ledger")

    watched.prometheus.watch(_port(watched.desk.worker))
    watched.calms_down()


def test_a_forgotten_transaction_keeps_the_lease_from_everybody(watched: Watched) -> None:
    with psycopg.connect(watched.desk.settings["POSTGRES_URL"]) as forgotten, watched.tells("NoLeader"):
        forgotten.execute("select from ledger.accounts for update")

    assert watched.desk.confirmed(approval("EURUSD")).outcome == ("filled", None)
    watched.calms_down()


def test_a_forgotten_transaction_hides_what_is_open(watched: Watched) -> None:
    with psycopg.connect(watched.desk.settings["POSTGRES_URL"]) as forgotten, watched.tells("FiguresMissing"):
        forgotten.execute("lock table ledger.dead_letters in access exclusive mode")

    assert watched.desk.confirmed(approval("EURUSD")).outcome == ("filled", None)
    watched.calms_down()


def test_a_machine_that_has_no_time_for_the_worker(watched: Watched) -> None:
    with watched.tells("LoopSlow"):
        for _ in range(4):
            watched.desk.worker.signal(SIGSTOP)
            time.sleep(1.2)  # longer than a beat and what is allowed; it is what this test is about
            watched.desk.worker.signal(SIGCONT)
            time.sleep(0.6)
