"""One account, one worker at a time: a second one stands by, and takes over when the first one ends or falls silent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from signal import SIGCONT, SIGSTOP

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.acceptance.oracle import check_run
from tests.fixtures.rpm import approval
from tests.fixtures.worker_process import WorkerProcess

TAKE_OVER_SECONDS = 15  # the lease's 5 s, a session's start, and a busy machine

pytestmark = [pytest.mark.acceptance, pytest.mark.services]


@pytest.fixture
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk() as desk:
        yield desk


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_standby_takes_over(desk: Desk, standby: WorkerProcess, how: str) -> None:
    # Given a leader that trades, and a standby that does not
    before = desk.publish(approval("EURUSD", 10_000.0))
    assert desk.confirmation(before).outcome == ("filled", None)
    assert "worker_ready" not in standby.log

    # When the leader ends, in order or at once
    getattr(desk.worker, how)()
    after = desk.publish(approval("USDJPY", 10_000.0))

    # Then the standby executes what comes, once
    assert desk.confirmation(after).outcome == ("filled", None)
    assert "worker_ready" in standby.log
    check_run(desk, [before, after])


def test_a_standby_trades_while_the_leader_is_frozen_and_the_leader_never_again(
    desk: Desk, standby: WorkerProcess
) -> None:
    # Given a leader that is frozen in the middle of a trade, with another one on its way to it
    sent = [desk.publish(approval("EURUSD.slow", 10_000.0))]
    eventually(lambda: desk.book.traded("EURUSD.slow"), "the order does not reach the broker")
    desk.worker.signal(SIGSTOP)
    frozen_at = time.monotonic()
    sent.append(desk.publish(approval("USDJPY", 10_000.0)))

    # Then the standby soon has the lease and the terminal, and sees to the end what was open
    assert desk.confirmation(sent[0], timeout=60).outcome == ("filled", None)
    assert time.monotonic() - frozen_at < TAKE_OVER_SECONDS
    assert "worker_ready" in standby.log

    # Then it executes what comes, as soon as RabbitMQ misses the leader's heartbeats
    assert desk.confirmation(sent[1], timeout=60).outcome == ("filled", None)

    # When the old leader wakes up while trades go on
    desk.worker.signal(SIGCONT)
    sent += [desk.publish(approval("GBPUSD", 1_000.0 * size)) for size in range(1, 11)]

    # Then each is executed once, and the old leader stands by without a session
    for one in sent:
        assert desk.confirmation(one, timeout=60).outcome == ("filled", None)
    check_run(desk, sent)
    eventually(lambda: "standing_by" in desk.worker.log, "the old leader does not stand by")
    eventually(lambda: desk.worker.sessions == [], "the old leader keeps a session")
    assert len(standby.sessions) == 1
