"""The crash matrix in small: the points that matter most, each once. `make chaos` takes all of them, and pairs."""

from __future__ import annotations

import fnmatch
import logging
import secrets
from collections.abc import Iterator

import pytest

from ops.services import Services
from tests.faults.crashes import open_lanes
from tests.faults.matrix import Chain, Lanes
from worker import failpoints

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

LANES = 5
# Dealt so that each lane's worker ends early in one of its lives and late in another.
FAULTS = (
    # an order that is written ahead, sent, answered: where it could be doubled or forgotten
    "ledger.commit.within.submitting.submitting=kill",
    "ledger.commit.after.submitting.submitting=kill",
    "session.send.before.submit=kill-all",
    "session.send.after.submit=kill-all",
    "session.send.after.submit@4=kill",
    "pipe.answer.after.submit=kill",
    "ledger.commit.after.accepted.answered=kill",
    # the first and the last thing that happens to a trade
    "ledger.commit.after.admit=kill",
    "amqp.ack.before.approved=kill",
    "ledger.commit.after.filled.settled=kill",
    "amqp.publish.before.confirmation@3=kill",
    "amqp.confirm.before=kill",
    # dead letters
    "ledger.commit.after.error.settled=kill",
    "ledger.commit.after.take_in=kill",
    # a search for an order, a cancel
    "ledger.commit.after.unknown.answered=kill",
    "ledger.commit.within.received.proved_absent=kill",
    "ledger.commit.after.cancelling.cancelling=kill",
    "session.send.after.cancel=kill-all",
    # the lease
    "ledger.take.after=kill",
    "ledger.release.after=kill",
    # an answer and the end of its order, lost together
    "ledger.commit.within.filled.settled=kill",
)

NOT_IN_THE_DAY = {
    "ledger.operator.before": "a command's; see test_crash_stories",
    "ledger.operator.within": "a command's; see test_crash_stories",
    "ledger.operator.after": "a command's; see test_crash_stories",
    "ledger.migrate.before": "a command's; see test_crash_stories",
    "ledger.migrate.within": "a command's; see test_crash_stories",
    "ledger.migrate.after": "a command's; see test_crash_stories",
}
MAY_BE_IN_IT = {
    "amqp.nack.before.*": "a delivery that crosses the cancel of its consumer: nobody can make it come",
    "amqp.nack.after.*": "a delivery that crosses the cancel of its consumer: nobody can make it come",
}


def _dealt() -> list[Chain]:
    return [FAULTS[number::LANES] for number in range(LANES)]


@pytest.fixture
def lanes(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    name = f"matrix_{secrets.token_hex(4)}"
    with open_lanes(services, name, LANES, tmp_path_factory.mktemp("matrix")) as opened:
        yield Lanes(opened)


@pytest.mark.timeout(600)
def test_wherever_it_is_ended_each_trade_is_done_once_and_told_truly(lanes: Lanes) -> None:
    passed: set[str] = set()
    for chain, result in lanes.run(_dealt(), a_day_each=True):
        assert not isinstance(result, Exception), f"{chain}: {result!r}"
        assert result.is_clean, f"{result}\n{result.log[-6000:]}"
        assert result.missed == ()
        passed.update(*(life.passed for life in result.lives))

    never = {point for point in failpoints.POINTS if not fnmatch.filter(passed, point)}
    assert never - MAY_BE_IN_IT.keys() == NOT_IN_THE_DAY.keys(), "the day has to pass every point, or say why not"
