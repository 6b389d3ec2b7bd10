"""Operators replay dead letters while the worker runs, and while it is killed: nothing is traded twice."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from signal import SIGKILL

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk, eventually
from tests.fixtures.rpm import JsonObject, Sent, approval, changed, rejection
from tests.fixtures.worker_process import Finished

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

OPERATORS = ("ann", "bob", "eve", "joe", "sue")
# Two sends are allowed, and requoted; the third is the replay's: executed, and the worker dies before it hears of it.
KILLED_AT_THE_REPLAY_S_SEND = "session.send.after.submit@3=kill-all"


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(MAX_RETRIES="2", FAILPOINTS=KILLED_AT_THE_REPLAY_S_SEND) as desk:
        yield desk


@pytest.fixture(scope="module")
def given_up(desk: Desk) -> Sent:
    """Have a trade end in error."""
    sent = desk.publish(approval("EURUSD.requote", 10_000.0))
    assert desk.confirmation(sent).outcome == ("error", "network_error")
    return sent


@pytest.fixture(scope="module")
def answers(desk: Desk, given_up: Sent) -> list[Finished]:
    """Have five operators replay it at the same moment, the worker killed in the middle and started again."""
    letter = desk.dead_letter(desk.confirmation(given_up)["execution_id"])["id"]
    with ThreadPoolExecutor(len(OPERATORS)) as seats:
        said = [
            seats.submit(desk.command, "dlq", "replay", letter, "--reason", "prices are back", "--by", name)
            for name in OPERATORS
        ]
        assert desk.worker.wait() == -SIGKILL
    desk.worker.settings = {**desk.settings, "FAILPOINTS": ""}
    desk.start()
    return [one.result() for one in said]


class TestFiveOperatorsAndAKilledWorker:
    """All of them want the same dead letter replayed."""

    def test_one_gets_it_and_the_others_are_told_by_whom(self, answers: list[Finished]) -> None:
        assert Counter(one.code for one in answers) == {0: 1, 1: 4}
        assert all("is replaying by" in one.err for one in answers if one.code)
        assert not [one for one in answers if "Traceback" in one.said]

    @pytest.mark.usefixtures("answers")
    def test_one_order_is_at_the_broker_and_its_confirmation_comes(self, desk: Desk, given_up: Sent) -> None:
        second = desk.confirmation(given_up, version=2)

        assert second.outcome == ("filled", None)
        assert (second["executed_units"], second["attempts"]) == (10_000, 3)
        assert len([one for one in desk.book.traded("EURUSD.requote") if one.deals]) == 1

    @pytest.mark.usefixtures("answers")
    def test_its_letter_is_resolved_and_can_only_be_looked_at(self, desk: Desk, given_up: Sent) -> None:
        letter = desk.dead_letter(desk.confirmation(given_up, version=2)["execution_id"])

        assert letter["state"] == "resolved"
        again = desk.command("dlq", "replay", letter["id"], "--reason", "once more")
        assert (again.code, "is resolved by" in again.err) == (1, True)


@pytest.mark.usefixtures("answers")
def test_each_of_many_ends_as_its_plan_said(desk: Desk) -> None:
    # Given dead letters of all kinds, and a worker that runs
    fresh, rejected_by_rpm = approval("GBPUSD", 11_000.0), rejection("GBPUSD")
    done = approval("GBPUSD", 12_000.0)
    desk.confirmed(done)
    conflict = changed(done, "decision.approved_trade.position_units", 99_000.0)
    wrong = changed(approval("GBPUSD"), "decision.approved_trade.direction", 7)
    stale = approval("GBPUSD", 13_000.0, age=3600)
    desk.confirmed(approval("USDJPY.requote", 10_000.0))
    for message in (fresh, rejected_by_rpm, done, conflict, wrong, stale):
        _give_up(desk, message)
    eventually(lambda: _waiting(desk) == 7, "seven dead letters are not taken in")

    # When all of them are replayed
    bulk = ("dlq", "replay", "--account", "main", "--reason", "a clean desk", "--yes", "--wait", "30", "--json")
    replayed = desk.command(*bulk)

    # Then each ends as foreseen, and what is refused stays
    assert replayed.code == 1, replayed.said
    assert Counter((one["prospect"], one["state"], one["status"]) for one in replayed.json) == {
        ("will_trade", "resolved", "filled"): 2,
        ("will_confirm", "resolved", "filled"): 1,
        ("will_confirm", "resolved", "rejected"): 1,
        ("will_be_refused", "failed_again", None): 1,
        ("in_conflict", "failed_again", None): 1,
        ("stale", None, None): 1,
    }
    assert "--allow-stale" in replayed.err
    # And the broker has each approved trade once
    lots = Counter(one.order["volume_initial"] for one in desk.book.traded("GBPUSD"))
    assert lots == {0.11: 1, 0.12: 1}
    assert len([one for one in desk.book.traded("USDJPY.requote") if one.deals]) == 1


def _give_up(desk: Desk, message: JsonObject) -> None:
    """Put a message among the dead letters, as if a worker had failed on it."""
    headers = {
        "failure-reason": "internal_error",
        "account": "main",
        "original-exchange": "trades",
        "original-routing-key": "approved.main.GBPUSD",
    }
    key, name = "approved.main.GBPUSD", str(uuid.uuid4())
    desk.rpm.publish(
        json.dumps(message).encode(), exchange="trades.dlx", routing_key=key, message_id=name, headers=headers
    )


def _waiting(desk: Desk) -> int:
    return len(desk.listing("dlq", "list", "--state", "new"))
