"""When the broker's answer proves nothing, nobody sends again and nobody pretends to know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk
from tests.fixtures.book import Traded
from tests.fixtures.rpm import Sent, approval

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

EXECUTED = ("timeout", "lostreply", "hang", "nohistory")
NOT_EXECUTED = ("notsent", "neversent", "hangnot")
AMBIGUOUS = EXECUTED + NOT_EXECUTED


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(TERMINAL_CALL_TIMEOUT_SECONDS="2", UNKNOWN_HORIZON_SECONDS="2") as desk:
        yield desk


@pytest.fixture(scope="module")
def ambiguous(desk: Desk) -> dict[str, Sent]:
    """Publish one trade of every kind, with ordinary ones between them, and wait until all are confirmed."""
    run = {suffix: desk.publish(approval(f"EURUSD.{suffix}", 10_000.0)) for suffix in AMBIGUOUS}
    ordinary = [desk.publish(approval("GBPUSD", 1_000.0 * size)) for size in range(1, 6)]
    for sent in [*run.values(), *ordinary]:
        desk.confirmation(sent, timeout=60)
    return run


def _effective(desk: Desk, suffix: str) -> list[Traded]:
    return [one for one in desk.book.traded(f"EURUSD.{suffix}") if one.deals]


@pytest.mark.parametrize("suffix", AMBIGUOUS)
def test_an_answer_that_proves_nothing_is_told_as_unresolved(
    desk: Desk, ambiguous: dict[str, Sent], suffix: str
) -> None:
    confirmed = desk.confirmation(ambiguous[suffix])

    assert confirmed.outcome == ("unresolved", "outcome_unknown")
    assert (confirmed["version"], confirmed["final"], confirmed["attempts"]) == (1, False, 1)
    assert confirmed.routing_key == f"confirmation.unresolved.main.EURUSD.{suffix}"
    assert confirmed["trade_id"] == ambiguous[suffix].order_id


@pytest.mark.parametrize("suffix", AMBIGUOUS)
def test_it_was_sent_once_and_never_again(desk: Desk, ambiguous: dict[str, Sent], suffix: str) -> None:
    assert suffix in ambiguous

    assert len(_effective(desk, suffix)) == (1 if suffix in EXECUTED else 0)


@pytest.mark.parametrize("suffix", AMBIGUOUS)
def test_a_person_finds_it_among_the_dead_letters(desk: Desk, ambiguous: dict[str, Sent], suffix: str) -> None:
    execution_id = desk.confirmation(ambiguous[suffix])["execution_id"]

    letter = desk.dead_letter(execution_id)

    assert (letter["reason"], letter["account"]) == ("outcome_unknown", "main")
    assert letter["trade_id"] == ambiguous[suffix].order_id
    assert letter["detail"]


def test_a_replay_of_what_may_stand_at_the_broker_is_refused(desk: Desk, ambiguous: dict[str, Sent]) -> None:
    letter = desk.dead_letter(desk.confirmation(ambiguous["lostreply"])["execution_id"])

    done = desk.command("dlq", "replay", letter["id"], "--reason", "to see it refused", "--yes")

    assert done.code == 1
    assert "unresolved" in done.said
    assert "Traceback" not in done.said
    assert len(_effective(desk, "lostreply")) == 1


def test_the_same_message_again_is_told_the_same(desk: Desk, ambiguous: dict[str, Sent]) -> None:
    sent = ambiguous["timeout"]
    first = desk.confirmation(sent)
    repeats = len(desk.downstream.all_of(sent.correlation))

    desk.publish(sent.body)

    assert desk.confirmation(sent, times=repeats + 1).body == first.body
    assert len(_effective(desk, "timeout")) == 1


def test_the_operator_sees_how_many_there_are(desk: Desk, ambiguous: dict[str, Sent]) -> None:
    status = desk.command("status", "--json")

    assert status.code == 0
    assert "unresolved" in status.out
    listed = {one["trade_id"]: one["status"] for one in desk.listing("executions", "list")}
    assert {listed[str(sent.order_id)] for sent in ambiguous.values()} == {"unresolved"}


def test_trades_around_it_are_filled(desk: Desk, ambiguous: dict[str, Sent]) -> None:
    assert ambiguous

    assert desk.confirmed(approval("EURUSD", 1_000.0)).outcome == ("filled", None)
    assert len([one for one in desk.book.traded("GBPUSD") if one.deals]) == 5
