"""The worker is killed, stopped and started again in the middle of a run of trades."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.acceptance.oracle import check_run
from tests.acceptance.runs import expected_statuses, trades
from tests.fixtures.rpm import Sent, approval
from tests.fixtures.subscriber import Confirmation

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

TRADES = 60
DRAIN_SECONDS = 4


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(
        MAX_TRADE_AGE_SECONDS="300",
        UNKNOWN_HORIZON_SECONDS="2",
        MAX_RETRIES="6",  # a send that a kill may have cut off counts as one
        ORDER_TIMEOUT_SECONDS="12",
        DRAIN_TIMEOUT_SECONDS=str(DRAIN_SECONDS),
        MAX_IN_FLIGHT="20",
    ) as desk:
        yield desk


@pytest.fixture(scope="module")
def history() -> list[Sent]:
    """Keep every trade of this desk: the book is judged as a whole."""
    return []


def _in_the_middle_of_a_run(desk: Desk, history: list[Sent], confirmed: int) -> list[Sent]:
    """Publish a run and return when so many of its trades are confirmed."""
    before = len(desk.downstream.received)
    run = [desk.publish(message) for message in trades(TRADES, first=len(history))]
    history += run
    desk.downstream.wait_for_count(before + confirmed)
    return run


def _all_confirmed(desk: Desk, run: list[Sent], history: list[Sent]) -> list[Confirmation]:
    for sent in run:
        desk.confirmation(sent, timeout=60)
    latest = check_run(desk, history)
    return [latest[str(sent.order_id)] for sent in run]


def _at_the_broker(desk: Desk) -> int:
    return len(desk.book.traded("GBPUSD.pending") + desk.book.traded("GBPUSD.slow"))


@pytest.mark.parametrize("confirmed", [1, 25])
def test_killed_in_the_middle_and_started_again(desk: Desk, history: list[Sent], confirmed: int) -> None:
    run = _in_the_middle_of_a_run(desk, history, confirmed)
    desk.worker.kill()

    desk.start()

    for one in _all_confirmed(desk, run, history):
        assert one["status"] in expected_statuses(one["symbol"])


@pytest.mark.chaos  # the storms kill more often
def test_killed_again_and_again(desk: Desk, history: list[Sent]) -> None:
    run = _in_the_middle_of_a_run(desk, history, 5)
    for _ in range(2):
        desk.worker.kill()
        desk.start()
        seen = len(desk.downstream.received)
        eventually(lambda seen=seen: len(desk.downstream.received) > seen, "no progress after a restart")  # type: ignore[misc]

    for one in _all_confirmed(desk, run, history):
        assert one["status"] in expected_statuses(one["symbol"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_in_order_it_leaves_nothing_in_doubt(desk: Desk, history: list[Sent], number: signal.Signals) -> None:
    run = _in_the_middle_of_a_run(desk, history, 5)

    asked = time.monotonic()
    desk.worker.signal(number)
    code = desk.worker.wait()

    assert code == 0
    assert time.monotonic() - asked < DRAIN_SECONDS + 5
    desk.start()
    for one in _all_confirmed(desk, run, history):
        assert one["status"] in expected_statuses(one["symbol"])


def test_an_order_that_waits_at_the_broker_is_watched_on_after_a_restart(desk: Desk, history: list[Sent]) -> None:
    # Given one order that will never be filled and one that is filled while nobody looks
    before = _at_the_broker(desk)
    pending = desk.publish(approval("GBPUSD.pending", 10_000.0))
    slow = desk.publish(approval("GBPUSD.slow", 20_000.0))
    history += [pending, slow]
    eventually(lambda: _at_the_broker(desk) == before + 2, "the orders did not reach the broker")

    desk.worker.kill()
    desk.start()

    assert desk.confirmation(slow).outcome == ("filled", None)
    assert desk.confirmation(pending).outcome == ("expired", "order_timeout")
    check_run(desk, history)


def test_the_log_of_all_its_lives_shows_no_traceback(desk: Desk) -> None:
    assert "Traceback" not in desk.worker.log
