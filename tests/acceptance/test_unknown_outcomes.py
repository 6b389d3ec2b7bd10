"""When the broker's answer proves nothing, evidence decides, or absence that is proved, or a person."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import DeskMaker
from tests.acceptance.desk import Desk
from tests.acceptance.oracle import check_execution, check_run
from tests.fixtures.book import Traded
from tests.fixtures.rpm import Sent, approval

pytestmark = [pytest.mark.acceptance, pytest.mark.services]

HANGS = ("hang", "hangnot")  # while one of them hangs, nobody can look for the others
EXECUTED = ("timeout", "lostreply", "hang")
SENT_AGAIN = ("notsent", "hangnot")
FOR_A_PERSON = {"neversent": ("error", "network_error"), "nohistory": ("unresolved", "outcome_unknown")}
AMBIGUOUS = (*EXECUTED, *SENT_AGAIN, *FOR_A_PERSON)
MAX_RETRIES = 3
PATIENCE = 60.0


@pytest.fixture(scope="module")
def desk(new_desk: DeskMaker) -> Iterator[Desk]:
    with new_desk(TERMINAL_CALL_TIMEOUT_SECONDS="2", UNKNOWN_HORIZON_SECONDS="2") as desk:
        yield desk


@pytest.fixture(scope="module")
def ambiguous(desk: Desk) -> dict[str, Sent]:
    """Publish one trade of every kind, with ordinary ones between them, and wait until all are confirmed."""
    first = [suffix for suffix in AMBIGUOUS if suffix not in HANGS]
    run = {suffix: desk.publish(approval(f"EURUSD.{suffix}", 10_000.0)) for suffix in first}
    ordinary = [desk.publish(approval("GBPUSD", 1_000.0 * size)) for size in range(1, 6)]
    for suffix in ("timeout", "lostreply", "notsent", "nohistory"):
        desk.confirmation(run[suffix], timeout=PATIENCE)
    run |= {suffix: desk.publish(approval(f"EURUSD.{suffix}", 10_000.0)) for suffix in HANGS}
    for sent in [*run.values(), *ordinary]:
        desk.confirmation(sent, timeout=PATIENCE)
    return run


def _effective(desk: Desk, suffix: str) -> list[Traded]:
    return [one for one in desk.book.traded(f"EURUSD.{suffix}") if one.deals]


@pytest.mark.parametrize(
    ("suffix", "attempts"), [*((suffix, 1) for suffix in EXECUTED), *((suffix, 2) for suffix in SENT_AGAIN)]
)
def test_what_was_executed_is_found_and_what_is_proved_absent_is_sent_again(
    desk: Desk, ambiguous: dict[str, Sent], suffix: str, attempts: int
) -> None:
    confirmed = desk.confirmation(ambiguous[suffix])

    assert (confirmed.outcome, confirmed["attempts"]) == (("filled", None), attempts)
    assert (confirmed["version"], confirmed["final"]) == (1, True)
    (traded,) = _effective(desk, suffix)
    check_execution(confirmed, traded, symbol="EURUSD")


def test_a_send_that_never_arrives_ends_when_every_attempt_is_proved_absent(
    desk: Desk, ambiguous: dict[str, Sent]
) -> None:
    confirmed = desk.confirmation(ambiguous["neversent"])

    assert confirmed.outcome == ("error", "network_error")
    assert (confirmed["version"], confirmed["final"], confirmed["attempts"]) == (1, True, MAX_RETRIES)
    assert desk.book.traded("EURUSD.neversent") == []


def test_what_can_never_be_proved_is_told_as_unresolved(desk: Desk, ambiguous: dict[str, Sent]) -> None:
    confirmed = desk.confirmation(ambiguous["nohistory"])

    assert confirmed.outcome == ("unresolved", "outcome_unknown")
    assert (confirmed["version"], confirmed["final"], confirmed["attempts"]) == (1, False, 1)
    assert confirmed.routing_key == "confirmation.unresolved.main.EURUSD.nohistory"
    assert confirmed["trade_id"] == ambiguous["nohistory"].order_id


def test_what_can_never_be_proved_raises_an_alert(desk: Desk, ambiguous: dict[str, Sent]) -> None:
    execution_id = desk.confirmation(ambiguous["nohistory"])["execution_id"]

    (alarm,) = [one for one in desk.worker.events if one["event"] == "outcome_unknown"]
    assert (alarm["execution_id"], alarm["level"], alarm["alert"]) == (execution_id, "error", True)
    shown = desk.command("executions", "show", execution_id, "--json").json
    assert "alert" in {event["kind"] for event in shown["events"]}


@pytest.mark.parametrize("suffix", FOR_A_PERSON)
def test_a_person_finds_it_among_the_dead_letters(desk: Desk, ambiguous: dict[str, Sent], suffix: str) -> None:
    execution_id = desk.confirmation(ambiguous[suffix])["execution_id"]

    letter = desk.dead_letter(execution_id)

    assert (letter["reason"], letter["account"]) == (FOR_A_PERSON[suffix][1], "main")
    assert letter["trade_id"] == ambiguous[suffix].order_id
    assert letter["detail"]


def test_nobody_else_has_to_look_at_anything(desk: Desk, ambiguous: dict[str, Sent]) -> None:
    for suffix in FOR_A_PERSON:
        desk.dead_letter(desk.confirmation(ambiguous[suffix])["execution_id"])

    letters = {one["trade_id"] for one in desk.listing("dlq", "list")}

    assert letters == {ambiguous[suffix].order_id for suffix in FOR_A_PERSON}


def test_a_replay_of_what_may_stand_at_the_broker_is_refused(desk: Desk, ambiguous: dict[str, Sent]) -> None:
    letter = desk.dead_letter(desk.confirmation(ambiguous["nohistory"])["execution_id"])

    done = desk.command("dlq", "replay", letter["id"], "--reason", "to see it refused", "--yes")

    assert done.code == 1
    assert "unresolved" in done.said
    assert "Traceback" not in done.said
    assert len(_effective(desk, "nohistory")) == 1


@pytest.mark.parametrize("suffix", ["timeout", "hangnot", "nohistory"])
def test_the_same_message_again_is_told_the_same(desk: Desk, ambiguous: dict[str, Sent], suffix: str) -> None:
    sent = ambiguous[suffix]
    first = desk.confirmation(sent)
    repeats = len(desk.downstream.all_of(sent.correlation))

    desk.publish(sent.body)

    assert desk.confirmation(sent, times=repeats + 1).body == first.body
    assert len(_effective(desk, suffix)) == 1


def test_the_operator_sees_what_is_unresolved(desk: Desk, ambiguous: dict[str, Sent]) -> None:
    status = desk.command("status", "--json")

    assert status.code == 0
    assert "unresolved" in status.out
    listed = {one["trade_id"] for one in desk.listing("executions", "list") if one["status"] == "unresolved"}
    assert listed == {ambiguous["nohistory"].order_id}


def test_trades_around_it_are_filled(desk: Desk, ambiguous: dict[str, Sent]) -> None:
    assert ambiguous

    assert desk.confirmed(approval("EURUSD", 1_000.0)).outcome == ("filled", None)
    assert len([one for one in desk.book.traded("GBPUSD") if one.deals]) == 5


def test_a_desk_may_forbid_every_second_send(new_desk: DeskMaker) -> None:
    with new_desk(UNKNOWN_HORIZON_SECONDS="1", RETRY_AFTER_PROVEN_ABSENT="false") as desk:
        notsent = desk.publish(approval("EURUSD.notsent", 10_000.0))
        lost = desk.publish(approval("GBPUSD.lostreply", 10_000.0))

        confirmed = desk.confirmation(notsent)

        assert (confirmed.outcome, confirmed["attempts"]) == (("error", "network_error"), 1)
        assert desk.dead_letter(confirmed["execution_id"])["reason"] == "network_error"
        assert desk.confirmation(lost).outcome == ("filled", None), "what was executed is found all the same"
        check_run(desk, [notsent, lost])
