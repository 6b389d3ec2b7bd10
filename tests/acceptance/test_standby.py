"""One account, one worker at a time: a second one stands by, and takes over when the first one ends or falls silent."""

from __future__ import annotations

from collections.abc import Iterator
from signal import SIGCONT, SIGSTOP

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.acceptance.oracle import check_run
from tests.fixtures.rpm import approval
from tests.fixtures.worker_process import WorkerProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.services]


@pytest.fixture
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk() as desk:
        yield desk


@pytest.fixture
def standby(desk: Desk) -> Iterator[WorkerProcess]:
    """Start a second worker of the same account and wait until it stands by."""
    folder = desk.folder / "standby"
    folder.mkdir()
    second = WorkerProcess(desk.settings, folder)
    second.start()
    try:
        eventually(lambda: "standing_by" in second.log, "the second worker does not stand by")
        yield second
    finally:
        second.end()


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


def test_a_leader_that_slept_through_its_lease_sends_nothing_more(desk: Desk, standby: WorkerProcess) -> None:
    # Given a leader that is frozen, a trade on its way to it, and a standby that has taken the lease; the terminal's
    # lock is still held by the frozen one's session
    desk.worker.signal(SIGSTOP)
    sent = [desk.publish(approval("EURUSD", 10_000.0))]
    eventually(lambda: desk.listing("status")[0]["lease_epoch"] > 1, "the standby does not take the lease", seconds=30)

    # When the old leader wakes up while trades go on
    desk.worker.signal(SIGCONT)
    sent += [desk.publish(approval("GBPUSD", 1_000.0 * size)) for size in range(1, 11)]

    # Then the standby executes each once when the lock is free, and the old leader has noticed that it leads no more
    for one in sent:
        assert desk.confirmation(one, timeout=60).outcome == ("filled", None)
    check_run(desk, sent)
    assert "worker_ready" in standby.log
    eventually(lambda: "standing_by" in desk.worker.log, "the old leader does not stand by")
