"""RabbitMQ or PostgreSQL goes away and comes back during a run of trades: nothing is lost, nothing done twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ops.services import Services
from tests.acceptance.desk import Desk, open_desk
from tests.acceptance.oracle import check_run
from tests.acceptance.runs import expected_statuses, trades
from tests.fixtures.rpm import RPM, Sent, approval

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

TRADES = 60
QUEUES_COME_OF_AGE_SECONDS = 3
_AWAY = ("lost", "unavailable", "away", "unreachable")
_BACK = ("back", "restored", "reconnected", "again")


@pytest.fixture(scope="module")
def desk(own_services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    amqp_url, postgres_url = own_services.new_vhost("outages"), own_services.new_database("outages")
    folder: Path = tmp_path_factory.mktemp("outages")
    with open_desk(amqp_url, postgres_url, folder, MAX_TRADE_AGE_SECONDS="300") as desk:
        # RabbitMQ 3.10 loses a quorum queue that is killed within about a second of its birth, and tells nobody when
        # that second is over.
        time.sleep(QUEUES_COME_OF_AGE_SECONDS)
        yield desk


@pytest.fixture(scope="module")
def history() -> list[Sent]:
    """Keep every trade of this desk: the book is judged as a whole."""
    return []


def _publish_run(amqp_url: str, first: int) -> list[Sent]:
    """Publish as RPM does that keeps trying while RabbitMQ is away."""
    rpm = RPM(amqp_url, patience=60)
    try:
        return [rpm.publish(message) for message in trades(TRADES, first)]
    finally:
        rpm.close()


def _lines(desk: Desk, since: int, service: str, words: tuple[str, ...]) -> list[str]:
    """Return the log's events since a position that tell of a service in one of these words."""
    lines = desk.worker.log[since:].splitlines()
    return [line for line in lines if service in line.lower() and any(word in line.lower() for word in words)]


@pytest.mark.parametrize("service", ["rabbitmq", "postgres"])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_service_that_goes_away_during_a_run_costs_nothing_but_time(
    desk: Desk, own_services: Services, history: list[Sent], service: str, how: str
) -> None:
    log_before = len(desk.worker.log)
    gone = getattr(own_services, service)

    # Given a run of trades, some of them done, some on their way, some not even published
    with ThreadPoolExecutor(1) as publishing:
        published = publishing.submit(_publish_run, desk.settings["AMQP_URL"], len(history))
        desk.downstream.wait_for_count(len(desk.downstream.received) + 5)
        # When the service goes away and comes back
        getattr(gone, how)()
        gone.restart()
        run = published.result()
    history += run

    # Then every trade is confirmed, truly and once
    for sent in run:
        desk.confirmation(sent, timeout=60)
    assert desk.worker.runs
    latest = check_run(desk, history)
    for sent in run:
        assert latest[str(sent.order_id)]["status"] in expected_statuses(sent.approved["symbol"])
    # And the log says so once
    name = {"rabbitmq": "rabbitmq", "postgres": "postgresql"}[service]
    assert len(_lines(desk, log_before, name, _AWAY)) == 1
    assert len(_lines(desk, log_before, name, _BACK)) == 1
    assert "Traceback" not in desk.worker.log


def test_a_trade_published_while_postgresql_is_away_waits_in_the_queue(
    desk: Desk, own_services: Services, history: list[Sent]
) -> None:
    own_services.postgres.stop()
    sent = desk.publish(approval("USDJPY", 1_000.0))
    history.append(sent)

    own_services.postgres.restart()

    assert desk.confirmation(sent, timeout=60).outcome == ("filled", None)
    assert len([one for one in desk.book.traded("USDJPY") if one.deals]) == 1
